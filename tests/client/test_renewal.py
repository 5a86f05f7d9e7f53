"""One token for everybody: who fetches it, who waits, and what comes of errors and of time."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.client.issuer import LIMIT, TARGET, Clock, Issuer, TokenCloud, eventually, until, waiting

from latchgate.client.errors import (
    AuthenticationFailed,
    ClientError,
    CredentialInvalid,
    RateLimited,
    Refused,
    Unreachable,
)
from latchgate.client.flow import Ask, Exchange
from latchgate.client.message import Request, Response
from latchgate.client.renewal import Join, Pause
from latchgate.client.shell import carry_out, carry_out_async
from latchgate.client.token import Token
from latchgate.client.token_cache import Slot, TokenCache

HOUR = 3600.0


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=[None, "cache"], ids=["in memory", "in files"])
def cache(request, tmp_path) -> TokenCache | None:
    return None if request.param is None else TokenCache(tmp_path / "tokens")


async def as_task(cloud: TokenCloud, issuer: Issuer, refused: Token | None = None) -> str:
    async def ask(request: Request) -> Response:
        issuer.arrive(request)
        number = len(issuer.exchanges)
        await eventually(issuer.gate.is_set)
        return issuer.answer(number)

    token = await carry_out_async(cloud, cloud.renewal.obtain(cloud, refused), ask=ask)
    return token.value.reveal()


def in_threads(count: int, cloud: TokenCloud, issuer: Issuer) -> list[Future[str]]:
    """Ask in as many threads; returns when all but who leads wait."""
    pool = ThreadPoolExecutor(count)
    told = [pool.submit(cloud.text, issuer) for _ in range(count)]
    pool.shutdown(wait=False)
    until(lambda: waiting(cloud) == count - 1)
    return told


def results(told: list[Future[str]]) -> list[str]:
    return [one.result(LIMIT) for one in told]


def test_a_thousand_tasks_with_an_expired_token_cause_one_exchange(issuer, clock, cache):
    cloud = TokenCloud(cache, clock)
    cloud.get(issuer)
    clock.now += 2 * HOUR

    async def all_at_once() -> list[str]:
        return await asyncio.gather(*(as_task(cloud, issuer) for _ in range(1000)))

    assert set(asyncio.run(all_at_once())) == {"token-2"}
    assert len(issuer.exchanges) == 2


def test_threads_and_tasks_of_several_loops_cause_one_exchange_together(issuer, cache):
    cloud = TokenCloud(cache)
    issuer.gate.clear()

    async def some() -> list[str]:
        return await asyncio.gather(*(as_task(cloud, issuer) for _ in range(20)))

    with ThreadPoolExecutor(24) as pool:
        loops = [pool.submit(asyncio.run, some()) for _ in range(4)]
        threads = [pool.submit(cloud.text, issuer) for _ in range(20)]
        until(lambda: waiting(cloud) == 99)
        issuer.gate.set()
        found = [*results(threads), *(value for loop in loops for value in loop.result(LIMIT))]
    assert set(found) == {"token-1"}
    assert len(issuer.exchanges) == 1


def test_a_task_that_is_cancelled_while_it_fetches_hands_over_to_one(issuer, cache):
    cloud = TokenCloud(cache)
    issuer.gate.clear()

    async def all_at_once() -> list[str]:
        leader = asyncio.create_task(as_task(cloud, issuer))
        await eventually(lambda: bool(issuer.exchanges))
        others = [asyncio.create_task(as_task(cloud, issuer)) for _ in range(50)]
        await eventually(lambda: waiting(cloud) == 50)
        others.pop().cancel()  # one who waits disturbs nobody
        leader.cancel()
        issuer.gate.set()
        found = await asyncio.gather(*others)
        assert leader.cancelled()
        return found

    assert set(asyncio.run(all_at_once())) == {"token-2"}
    assert len(issuer.exchanges) == 2


def test_a_loop_that_ends_while_its_task_fetches_hands_over(issuer):
    cloud = TokenCloud()
    issuer.gate.clear()
    loop = asyncio.new_event_loop()
    leader = loop.create_task(as_task(cloud, issuer))
    for _ in range(3):
        loop.run_until_complete(asyncio.sleep(0))
    assert len(issuer.exchanges) == 1
    waits = in_threads_beside(cloud, issuer)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(leader)
    loop.close()
    issuer.gate.set()
    assert waits.result(LIMIT) == "token-2"


def in_threads_beside(cloud: TokenCloud, issuer: Issuer) -> Future[str]:
    pool = ThreadPoolExecutor(1)
    told = pool.submit(cloud.text, issuer)
    pool.shutdown(wait=False)
    until(lambda: waiting(cloud) == 1)
    return told


def test_a_task_whose_loop_was_closed_while_it_waited_does_not_disturb_who_leads(issuer):
    cloud = TokenCloud()
    issuer.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(cloud.text, issuer)
        until(lambda: len(issuer.exchanges) == 1)
        loop = asyncio.new_event_loop()
        task = loop.create_task(as_task(cloud, issuer))
        loop.run_until_complete(asyncio.sleep(0))
        assert waiting(cloud) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()
        issuer.gate.set()
        assert leader.result(LIMIT) == "token-1"


def test_a_thread_that_dies_while_it_fetches_hands_over_to_one(
    issuer: Issuer, cache: TokenCache | None
):
    cloud = TokenCloud(cache)
    issuer.gate.clear()
    issuer.fault = ZeroDivisionError("a fault of the adapter's")
    answer = issuer.answer

    def once(number: int) -> Response:
        try:
            return answer(number)
        finally:
            issuer.fault = None

    issuer.answer = once  # type: ignore[method-assign]
    told = in_threads(20, cloud, issuer)
    issuer.gate.set()
    found = [one.exception(LIMIT) or one.result() for one in told]
    assert sum(isinstance(one, ZeroDivisionError) for one in found) == 1
    assert sum(one == "token-2" for one in found) == 19
    assert len(issuer.exchanges) == 2


def test_a_fault_that_meets_everybody_is_told_after_two_and_not_tried_by_each_in_turn(issuer):
    cloud = TokenCloud()
    issuer.gate.clear()
    issuer.fault = ZeroDivisionError("hunter2")
    told = in_threads(20, cloud, issuer)
    issuer.gate.set()
    found = [one.exception(LIMIT) for one in told]
    assert len(issuer.exchanges) == 2
    others = [one for one in found if not isinstance(one, ZeroDivisionError)]
    assert len(others) == 18
    assert {type(one) for one in others} == {Unreachable}
    assert "ZeroDivisionError" in str(others[0])
    assert "hunter2" not in str(others[0])


def test_a_failed_exchange_gives_all_who_waited_the_same_error_and_the_next_tries_anew(
    issuer, cache
):
    cloud = TokenCloud(cache)
    issuer.gate.clear()
    issuer.status = 401
    told = in_threads(20, cloud, issuer)
    issuer.gate.set()
    errors = [one.exception(LIMIT) for one in told]
    assert len(issuer.exchanges) == 1
    assert {type(one) for one in errors} == {AuthenticationFailed}
    assert {str(one) for one in errors} == {"Issuer: no such key (401 GONE)"}
    assert len({id(one) for one in errors}) == 20  # each raises its own
    assert {one.status for one in errors if isinstance(one, Refused)} == {401}
    issuer.status = 201
    assert cloud.text(issuer) == "token-2"


def test_who_is_stuck_while_it_fetches_is_passed_over(issuer):
    cloud = TokenCloud(patience=0.05)
    issuer.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(cloud.text, issuer)
        until(lambda: len(issuer.exchanges) == 1)
        assert cloud.text(other := Issuer()) == "token-1"
        assert len(other.exchanges) == 1
        issuer.gate.set()
        assert stuck.result(LIMIT) == "token-1"


def test_a_call_that_waits_in_the_thread_of_the_loop_that_fetches_does_not_wait_for_ever(issuer):
    cloud = TokenCloud(patience=1e9)
    issuer.gate.clear()

    async def mixed() -> tuple[str, str]:
        leader = asyncio.create_task(as_task(cloud, issuer))
        await eventually(lambda: bool(issuer.exchanges))
        issuer.gate.set()  # though the loop's task can't see it before this returns
        return cloud.text(issuer), await leader

    assert asyncio.run(mixed()) == ("token-2", "token-1")


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


def test_a_lock_that_is_never_freed_is_waited_for_so_long_and_taken_over(issuer, clock, tmp_path):
    cache = TokenCache(tmp_path / "tokens", patience=0.1)
    cloud = TokenCloud(cache, clock)
    with cache.slot(cloud.slot, cloud.secrets) as stuck:
        assert stuck.locked()
        assert cloud.text(issuer) == "token-1"
        assert TokenCloud(cache, clock).text(issuer) == "token-1"  # it was kept


OVER = False  # what a Join is answered with whose time is over


def touched(slot: Slot) -> bool:
    """Show a sign of life, and say whether it can be seen: the clock of files ticks slowly."""
    before = slot.sign
    slot.touch()
    return slot.sign != before


class Slow(TokenCloud):
    """Waits for a person, and asks again and again whether they have signed in."""

    def exchange(self, token: Token | None) -> Exchange:
        yield Pause(5)
        yield Pause(5)
        return (yield from super().exchange(token))


def test_who_gets_on_with_an_exchange_is_not_taken_for_stuck_however_long_it_takes(cache):
    cloud = Slow(cache)
    leader, other = cloud.renewal.obtain(cloud), cloud.renewal.obtain(cloud)
    assert leader.send(None) == Pause(5)
    assert isinstance(other.send(None), Join)
    leader.send(None)
    assert isinstance(other.send(OVER), Join)  # the time is over, and there was a step meanwhile
    leader.send(None)
    assert isinstance(other.send(OVER), Join)
    found = other.send(OVER)  # now there was none
    assert found == Pause(5) if cache is None else isinstance(found, Pause)
    leader.close()
    other.close()


def test_a_process_that_shows_signs_of_life_keeps_its_lock(clock, tmp_path):
    cache = TokenCache(tmp_path / "tokens", patience=0.2)
    cloud = TokenCloud(cache, clock)
    with cache.slot(cloud.slot, cloud.secrets) as other:
        assert other.locked()
        waiter = cloud.renewal.obtain(cloud)
        for _ in range(20):  # of 0.055 s each, if anybody waited
            assert isinstance(waiter.send(None), Pause)
            until(lambda: touched(other))
        steps = [type(waiter.send(None)) for _ in range(5)]
        assert steps[0] is Pause
        assert Ask in steps
        waiter.close()


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


@pytest.mark.parametrize("lasts", [0, -5, 1e-9])
def test_all_who_waited_use_a_token_even_if_it_is_over_as_it_comes(issuer, lasts):
    issuer.lasts = lasts
    cloud = TokenCloud()
    issuer.gate.clear()
    told = in_threads(20, cloud, issuer)
    issuer.gate.set()
    assert set(results(told)) == {"token-1"}


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


def test_another_secret_of_the_same_key_gets_a_token_of_its_own(issuer, tmp_path):
    cache = TokenCache(tmp_path / "tokens")
    told = {TokenCloud(cache, secret=f"secret-{one}").text(issuer) for one in range(4)}
    assert len(told) > 1  # by 16 bits each


def test_errors_are_told_whole_to_each_who_waited():
    error = RateLimited("slower", status=429, code="SLOW", cloud="Issuer", retry_after=3)
    other = error.again()
    assert type(other) is RateLimited
    assert (str(other), other.retry_after, other.code) == (str(error), 3, "SLOW")
    assert other.__cause__ is error
    assert isinstance(other, ClientError)


def test_the_folder_holds_nothing_but_the_token_afterwards(issuer, tmp_path):
    folder: Path = tmp_path / "tokens"
    cloud = TokenCloud(TokenCache(folder))
    threads = [threading.Thread(target=cloud.get, args=(issuer,)) for _ in range(5)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(LIMIT)
    assert [one.suffix for one in folder.iterdir()] == [".json"]
