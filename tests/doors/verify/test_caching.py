"""Which accepts a gateway may remember and until when, by what the door writes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from tests.doors.verify.served import Port, served
from tests.doors.verify.test_protocol import AREA, FORWARDED, RULE, TOLD, Told, decided, granted
from tests.e2e.stack import DEPLOY
from tests.e2e.wire import Answer, ask

from latchgate.core.kinds.oidc_bearer import OidcBearer
from latchgate.core.model import Decision, Request
from latchgate.core.network import Networks
from latchgate.core.price import Price
from latchgate.core.reason import Reason
from latchgate.core.shadow import Shadow
from latchgate.doors.console import console
from latchgate.doors.verify import VerifyDoor
from latchgate.doors.verify.caching import CACHED, Caching
from latchgate.verify.walk import Fetch

pytestmark = pytest.mark.enable_socket

NOW, SECONDS, SINCE = 1_000_000.25, 10.0, 77.0
KEY = ("Authorization", "Bearer x")
NEVER = (("X-Accel-Expires", "0"), ("Cache-Control", "no-store"))


class Ending(Told):
    """An engine that says until when what it allows holds by itself, and is believed."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: float | None = math.inf
        self.trust = math.inf
        self.policy: Any = SimpleNamespace(kinds={})

    def trust_left(self, since: float) -> float:
        assert since == SINCE
        return self.trust

    def ends_at(self, _grant: object) -> float | None:
        return self.ends


@dataclasses.dataclass
class Declared:
    """Stands for the declaration that receipts wait by."""

    since: float | None = SINCE
    seconds: float = SECONDS


@pytest.fixture
def engine() -> Ending:
    return Ending()


@pytest.fixture
def declared() -> Declared:
    return Declared()


@pytest.fixture
def now() -> list[float]:
    return [NOW]


@pytest.fixture
def address(engine: Ending, declared: Declared, now: list[float]) -> Iterator[Port]:
    caching = Caching(engine, declared, clock=lambda: now[0])
    door = VerifyDoor(engine, Networks.of(["127.0.0.1"]), caching=caching)
    with served(console, door.protocol) as found:  # type: ignore[arg-type] # never called
        yield found


def asked(address: Port, *more: tuple[str, str], key: tuple[str, str] = KEY) -> Answer:
    return ask(address, "GET", CACHED, [*TOLD, key, *more])


def until(answer: Answer) -> int | None:
    """Return the second that an answer names; None where it may not be remembered at all."""
    told = dict(answer.headers)
    if told["X-Accel-Expires"] == "0":
        assert told["Cache-Control"] == "no-store"
        return None
    assert told["Cache-Control"] == f"max-age={int(told['X-Accel-Expires'][1:]) - int(NOW)}"
    return int(told["X-Accel-Expires"].removeprefix("@"))


def test_an_accept_ends_at_a_whole_second_one_less_than_it_might(address):
    # Good through that second: until 1_000_010, a quarter of a second before it might end.
    answer = asked(address)
    assert until(answer) == 1_000_009
    assert answer.headers[:3] == (
        ("X-Accel-Expires", "@1000009"),
        ("Cache-Control", "max-age=9"),
        ("X-Latchgate-Status", "200"),
    )
    plain = ask(address, "GET", "/nginx/short", [*TOLD, KEY])
    assert answer.headers[3:] == plain.headers
    assert (answer.status, answer.body) == (200, b"")


def test_asked_elsewhere_an_answer_is_what_it_always_was(address, engine):
    without = VerifyDoor(engine, Networks.of(["127.0.0.1"]))
    with served(console, without.protocol) as plain:  # type: ignore[arg-type] # never called
        for url, told in (("/nginx", TOLD), ("/forwarded", FORWARDED)):
            assert ask(address, "GET", url, told) == ask(plain, "GET", url, told)
        # Off here: such a gateway is answered, and let remember nothing.
        off = ask(plain, "GET", CACHED, [*TOLD, KEY])
    assert (off.status, until(off)) == (200, None)
    assert off.headers[2] == ("X-Latchgate-Status", "200")


@pytest.mark.parametrize(
    ("trust", "ends"),
    [(math.inf, 9), (30.0, 9), (5.0, 4), (2.0, 1), (1.5, None), (0.1, None), (0.0, None)],
)
def test_no_accept_outlasts_the_trust_that_was_left(address, engine, trust, ends):
    engine.trust = trust
    assert until(asked(address)) == (None if ends is None else 1_000_000 + ends)


@pytest.mark.parametrize(
    ("end", "ends"),
    [(math.inf, 9), (NOW + 20, 9), (1_000_007.0, 6), (1_000_007.9, 6), (NOW + 0.5, None)],
)
def test_no_accept_outlasts_what_was_accepted(address, engine, end, ends):
    engine.ends = end
    assert until(asked(address)) == (None if ends is None else 1_000_000 + ends)


def test_what_ends_at_an_unknown_time_is_not_remembered(address, engine):
    engine.ends = None
    assert until(asked(address)) is None


def test_the_clock_and_the_trust_are_those_from_before_the_decision(address, engine, now):
    def stopped(_request: Request) -> Decision:
        now[0] += 600  # the process stood still between its looks
        engine.trust = math.inf
        return decided(grant=granted())

    engine.trust, engine.say = 5.0, stopped
    assert until(asked(address)) == 1_000_004


def test_nothing_is_remembered_that_no_receipt_would_wait_for(address, declared):
    declared.since = None
    assert until(asked(address)) is None


def test_nothing_is_remembered_of_a_question_that_holds_what_the_key_does_not(address):
    assert until(asked(address, ("X-Tenant-Key", "x"))) is None
    assert until(asked(address, ("Cookie", "x"))) is None
    assert until(asked(address, ("User-Agent", "x"), ("Accept", "*/*"))) is not None
    assert until(asked(address, ("X-TeraCLOUD-API-KEY", "x"))) is not None
    for name in ("Origin", "Destination", "Access-Control-Request-Method"):
        assert until(asked(address, (name, "x"))) is not None


def test_nothing_is_remembered_of_a_header_that_came_twice(address):
    assert until(asked(address, ("Origin", "x"), ("Origin", "y"))) is None


def test_nothing_is_remembered_of_two_credentials_or_of_none(address):
    assert until(asked(address, ("X-API-Key", "x"))) is None
    assert until(asked(address, ("X-Auth-Token", "x"))) is None
    assert until(asked(address, key=("X-API-Key", "x"))) is not None
    assert until(asked(address, key=("X-Auth-Token", "x"))) is not None
    assert until(asked(address, key=("X-TeraCLOUD-API-KEY", "x"))) is None


def changed(**more: Any) -> Decision:
    return msgspec.structs.replace(decided(grant=granted()), **more)


@pytest.mark.parametrize(
    "decision",
    [
        decided(),  # public: nobody was asked for
        changed(rule=dataclasses.replace(RULE, price=Price(1, "EUR"))),
        changed(rule=None),
        changed(area=None),
    ],
)
def test_what_is_billed_and_what_is_nobodys_is_not_remembered(address, engine, decision):
    engine.say = lambda _: decision
    answer = asked(address)
    assert (answer.status, until(answer)) == (200, None)


def test_what_an_old_system_enforces_is_not_remembered(address, engine):
    shadow = Shadow("x", "http://127.0.0.1:1/", 1.0, (), (), None, None)
    engine.say = lambda _: changed(area=dataclasses.replace(AREA, shadow=shadow))
    answer = asked(address)
    assert (answer.status, until(answer)) == (503, None)  # nobody asks it here


def test_a_statement_of_another_issuer_is_not_remembered(address, engine):
    told = {"issuer": "https://id.example", "audience": "a", "jwks_uri": "https://id.example/k"}
    engine.policy.kinds[granted().credential.kind] = OidcBearer.configured("x", told)
    assert until(asked(address)) is None


@pytest.mark.parametrize("reason", [one for one in Reason if one is not Reason.ALLOWED])
def test_no_refusal_is_remembered(address, engine, reason):
    engine.say = lambda _: decided(reason)
    answer, plain = asked(address), ask(address, "GET", "/nginx", [*TOLD, KEY])
    assert answer.headers[:2] == NEVER
    assert (answer.status, answer.headers[2:], answer.body) == (
        plain.status,
        plain.headers,
        plain.body,
    )


def test_what_took_long_is_not_remembered(address, engine):
    def later(answer: Decision) -> Callable[[Request], Awaitable[Decision]]:
        async def found(_: Request) -> Decision:
            return answer

        return found

    engine.say = lambda _: Fetch((), None)
    engine.later = later(decided(grant=granted()))
    answer = asked(address)
    assert (answer.status, until(answer)) == (200, None)
    engine.later = later(decided(Reason.CREDENTIAL_UNKNOWN))
    answer = asked(address)
    assert (answer.status, until(answer)) == (401, None)


def test_a_fault_is_not_remembered(address, engine, caplog):
    def broken(_: Request) -> Decision:
        raise ValueError

    engine.say = broken
    answer = asked(address)
    assert (answer.status, answer.one("Cache-Control")) == (503, "no-store")
    assert "could not be answered" in caplog.text


def test_who_is_no_gateway_is_told_nothing(engine):
    door = VerifyDoor(engine, Networks(()), caching=Caching(engine, Declared(), clock=lambda: NOW))
    with served(console, door.protocol) as found:  # type: ignore[arg-type] # never called
        answer = asked(found)
    assert (answer.status, answer.one("Cache-Control")) == (403, "no-store")
    assert engine.requests == []


def test_the_shipped_key_holds_every_value_of_the_question():
    question = (DEPLOY / "latchgate-server.conf").read_text(encoding="utf-8")
    told = {
        line.split()[1]: line.split()[2].rstrip(";")
        for line in question.splitlines()
        if line.strip().startswith("proxy_set_header")
    }
    key = (DEPLOY / "latchgate-cache.conf").read_text(encoding="utf-8")
    key = key.split('proxy_cache_key "')[1].split('"')[0]
    parts = key.splitlines()
    assert len(set(parts)) == len(parts)  # each on a line of its own, which no value can end
    ours = {name for name, value in told.items() if value in parts}
    assert set(told) - ours == {"Host", "Connection", "Content-Length", "User-Agent", "Accept"}
