"""What becomes of a token in time: renewed, refused, forgotten, refreshed."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.client.issuer import LIMIT, TARGET, Clock, Issuer, TokenCloud, until

from latchgate.client.errors import (
    AuthenticationFailed,
    CredentialInvalid,
    RateLimited,
    Unreachable,
)
from latchgate.client.message import Request, Response
from latchgate.client.shell import carry_out, carry_out_async
from latchgate.client.token_cache import TokenCache

HOUR = 3600.0


def test_while_one_renews_early_everybody_else_goes_on_with_the_old_token(issuer, clock, cache):
    cloud = TokenCloud(cache, clock)
    cloud.get(issuer)
    clock.now += 860
    issuer.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(cloud.text, issuer)
        until(lambda: len(issuer.exchanges) == 2)
        assert {cloud.text(issuer) for _ in range(10)} == {"token-1"}
        issuer.gate.set()
        assert leader.result(LIMIT) == "token-2"
    assert cloud.text(issuer) == "token-2"
    assert len(issuer.exchanges) == 2


def test_nothing_is_renewed_before_80_percent(issuer, clock, cache):
    cloud = TokenCloud(cache, clock)
    cloud.get(issuer)
    clock.now += 790
    assert cloud.text(issuer) == "token-1"


def test_while_another_process_renews_early_the_old_token_serves(issuer, clock, tmp_path):
    cache = TokenCache(tmp_path / "tokens", patience=LIMIT)
    cloud = TokenCloud(cache, clock)
    cloud.get(issuer)
    clock.now += 860
    with cache.slot(cloud.slot, cloud.secrets) as other:
        assert other.locked()
        assert cloud.text(issuer) == "token-1"
        # A process that starts now goes on with it too.
        assert TokenCloud(cache, clock).text(issuer) == "token-1"
    clock.now += 2
    assert cloud.text(issuer) == "token-2"


def test_an_outage_leaves_the_old_token_in_use_and_is_tried_again_later(issuer, clock, cache):
    cloud = TokenCloud(cache, clock)
    cloud.get(issuer)
    clock.now += 860
    issuer.unreachable()
    assert {cloud.text(issuer) for _ in range(10)} == {"token-1"}
    assert len(issuer.exchanges) == 2
    clock.now += 51  # 5 % of its life
    assert {cloud.text(issuer) for _ in range(10)} == {"token-1"}
    assert len(issuer.exchanges) == 3
    clock.now += 90
    with pytest.raises(Unreachable):
        cloud.get(issuer)
    issuer.fault = None
    assert cloud.text(issuer) == "token-5"


def test_a_refusal_before_the_end_leaves_the_old_token_in_use_and_is_logged(
    issuer, clock, cache, caplog
):
    cloud = TokenCloud(cache, clock)
    cloud.get(issuer)
    clock.now += 860
    issuer.status = 401
    assert {cloud.text(issuer) for _ in range(10)} == {"token-1"}
    assert len(issuer.exchanges) == 2
    [record] = caplog.records
    assert record.name == "latchgate.client"
    assert "no such key (401 GONE)" in record.getMessage()
    assert "token-1" not in caplog.text
    assert "hunter2" not in caplog.text
    # What was asked for it is told at once to whoever wants to know.
    with pytest.raises(AuthenticationFailed):
        cloud.get(issuer, lasting=500)
    # … and to whomever the server refuses the old one.
    with pytest.raises(AuthenticationFailed):
        cloud.get(issuer, refused=cloud.renewal._token)


def test_who_was_told_when_to_come_back_does_not_come_before(issuer, clock):
    cloud = TokenCloud(None, clock)
    issuer.lasts = 10_000
    cloud.get(issuer)
    clock.now += 8600
    issuer.fault = RateLimited("slower", status=429, retry_after=600)
    cloud.get(issuer)
    clock.now += 599
    cloud.get(issuer)
    assert len(issuer.exchanges) == 2
    clock.now += 2
    cloud.get(issuer)
    assert len(issuer.exchanges) == 3


def test_a_thousand_requests_that_are_refused_with_one_token_cause_one_exchange(
    issuer: Issuer, clock: Clock, cache: TokenCache | None
):
    cloud = TokenCloud(cache, clock)
    sent: list[str] = []

    async def request() -> None:
        async def ask(request: Request) -> Response:
            return issuer.ask(request)

        async def send(step) -> Response:
            sent.append(dict(step.headers)["X-Auth-Token"])
            await asyncio.sleep(0)
            return Response(401, {})

        await carry_out_async(cloud, cloud.flow(TARGET), ask=ask, send=send)

    async def all_at_once() -> None:
        await asyncio.gather(*(request() for _ in range(1000)))

    cloud.get(issuer)
    asyncio.run(all_at_once())
    assert len(issuer.exchanges) == 2
    assert sent.count("token-1") == 1000
    assert sent.count("token-2") == 1000

    clock.now += 29
    asyncio.run(all_at_once())  # … whose first token is the new one: nobody asks again
    assert len(issuer.exchanges) == 2
    clock.now += 2
    asyncio.run(all_at_once())
    assert len(issuer.exchanges) == 3


def test_a_refusal_that_one_process_met_is_known_to_the_next(issuer, clock, tmp_path):
    cache = TokenCache(tmp_path / "tokens")
    one, other = TokenCloud(cache, clock), TokenCloud(cache, clock)
    first = one.get(issuer)
    other.get(issuer)
    second = one.get(issuer, refused=first)
    assert other.text(issuer, refused=first) == second.value.reveal() == "token-2"
    # Both find that one refused as well, and a third who starts now.
    for cloud in (one, other, TokenCloud(cache, clock)):
        held = cloud.get(issuer)
        assert cloud.get(issuer, refused=held) is held
    assert len(issuer.exchanges) == 2
    clock.now += 31
    held = other.get(issuer)
    assert {cloud.text(issuer, refused=held) for cloud in (one, other)} == {"token-3"}


def test_a_late_refusal_of_a_token_that_was_replaced_meanwhile_costs_nothing(issuer, clock, cache):
    cloud = TokenCloud(cache, clock)
    first = cloud.get(issuer)
    cloud.get(issuer, refused=first)
    clock.now += 60
    assert cloud.text(issuer, refused=first) == "token-2"
    assert len(issuer.exchanges) == 2


@pytest.mark.parametrize("step", [-12 * HOUR, -61, 2 * HOUR, 365 * 24 * HOUR])
def test_a_clock_that_is_set_costs_one_exchange_and_no_more(issuer, clock, cache, step):
    cloud = TokenCloud(cache, clock)
    cloud.get(issuer)
    clock.now += step
    assert {cloud.text(issuer) for _ in range(10)} == {"token-2"}
    assert TokenCloud(cache, clock).text(issuer) == ("token-2" if cache else "token-3")


def test_what_is_forgotten_is_fetched_anew_by_everybody(issuer, cache):
    cloud = TokenCloud(cache)
    cloud.get(issuer)
    cloud.forget()
    assert cloud.text(issuer) == "token-2"
    issuer.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        cloud.forget()
        fetching = pool.submit(cloud.text, issuer)
        until(lambda: len(issuer.exchanges) == 3)
        cloud.forget()
        issuer.gate.set()
        assert fetching.result(LIMIT) == "token-3"
    assert cloud.text(issuer) == "token-4"
    assert TokenCloud(cache).text(issuer) == ("token-4" if cache else "token-5")


def test_before_long_work_a_token_is_renewed_that_would_end_in_it(issuer, clock, cache):
    cloud = TokenCloud(cache, clock)

    def validate(lasting: float) -> None:
        identity = carry_out(cloud, cloud.validate(lasting=lasting), ask=issuer.ask)
        assert identity.principal == "u"

    validate(0)
    assert issuer.exchanges == [{"refresh": None}, "who"]
    clock.now += 400
    validate(600)
    assert cloud.text(issuer) == "token-1"
    validate(601)
    assert cloud.text(issuer) == "token-4"
    validate(1000)
    assert cloud.text(issuer) == "token-4"
    asked = len(issuer.exchanges)
    for _ in range(3):
        with pytest.raises(CredentialInvalid, match="tokens last 1000 s, not 1001"):
            validate(1001)
    assert len(issuer.exchanges) == asked  # another would last no longer


def test_the_newest_refresh_token_is_used_whoever_got_it(issuer, clock, tmp_path):
    cache = TokenCache(tmp_path / "tokens")
    issuer.rotates = True
    one, other = TokenCloud(cache, clock), TokenCloud(cache, clock)
    one.get(issuer)
    other.get(issuer)
    for cloud in (one, other, other, one, TokenCloud(cache, clock), one):
        clock.now += 2 * HOUR
        cloud.get(issuer)
    told = [exchange["refresh"] for exchange in issuer.exchanges]
    assert told == [None, *(f"refresh-{number}" for number in range(1, 7))]


def test_a_refresh_token_stays_where_no_new_one_comes(issuer, clock, cache):
    cloud = TokenCloud(cache, clock)
    issuer.rotates = True
    cloud.get(issuer)
    issuer.rotates = False
    for _ in range(3):
        clock.now += 2 * HOUR
        cloud.get(issuer)
    told = [exchange["refresh"] for exchange in issuer.exchanges]
    assert told == [None, "refresh-1", "refresh-1", "refresh-1"]


def test_a_refresh_token_that_could_not_be_kept_is_used_all_the_same(
    issuer, clock, tmp_path, monkeypatch
):
    cloud = TokenCloud(TokenCache(tmp_path / "tokens"), clock)
    issuer.rotates = True
    cloud.get(issuer)
    with monkeypatch.context() as patched:
        patched.setattr("latchgate.client.token_cache.Slot.write", lambda *_: False)
        clock.now += 2 * HOUR
        cloud.get(issuer)
    clock.now += 2 * HOUR
    cloud.get(issuer)
    assert [exchange["refresh"] for exchange in issuer.exchanges] == [
        None,
        "refresh-1",
        "refresh-2",
    ]


def test_a_refresh_token_is_not_lost_to_whoever_interrupts_its_keeping(
    issuer, clock, tmp_path, monkeypatch
):
    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    cloud = TokenCloud(TokenCache(tmp_path / "tokens"), clock)
    issuer.rotates = True
    with monkeypatch.context() as patched:
        patched.setattr("latchgate.client.token_cache.Slot.write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cloud.get(issuer)
    assert cloud.text(issuer) == "token-1"
    clock.now += 2 * HOUR
    cloud.get(issuer)
    assert [exchange["refresh"] for exchange in issuer.exchanges] == [None, "refresh-1"]


def test_who_forgets_a_token_that_could_not_be_kept_takes_the_next_that_others_keep(
    issuer, clock, tmp_path, monkeypatch
):
    cache = TokenCache(tmp_path / "tokens")
    one, other = TokenCloud(cache, clock), TokenCloud(cache, clock)
    issuer.rotates = True
    with monkeypatch.context() as patched:
        patched.setattr("latchgate.client.token_cache.Slot.write", lambda *_: False)
        one.get(issuer)
    one.forget()
    other.get(issuer)
    clock.now += 2 * HOUR
    one.get(issuer)
    assert [exchange["refresh"] for exchange in issuer.exchanges] == [None, None, "refresh-2"]


def test_another_secret_of_the_same_key_gets_a_token_of_its_own(issuer, tmp_path):
    cache = TokenCache(tmp_path / "tokens")
    told = {TokenCloud(cache, secret=f"secret-{one}").text(issuer) for one in range(4)}
    assert len(told) > 1  # by 16 bits each
