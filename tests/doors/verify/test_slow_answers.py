"""`VerifyProtocol` while passwords are worked out: order, neighbours, ends of connections."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator

import pytest
from tests.doors.verify.served import Port, served
from tests.doors.verify.test_protocol import TOLD, Told, decided, granted
from tests.e2e.wire import Wire, written

from latchgate.core.model import Decision, Request
from latchgate.core.network import Networks
from latchgate.core.reason import Reason
from latchgate.core.secret import Secret
from latchgate.doors.console import console
from latchgate.doors.verify import VerifyDoor
from latchgate.verify.walk import Derive

pytestmark = pytest.mark.enable_socket

SLOW = Derive(Secret("hunter2"), None, "n:ada", None)


class Slow(Told):
    """Answers at once, but where `x-slow` says how long it takes."""

    def __init__(self) -> None:
        super().__init__()
        self.say = lambda request: SLOW if self._seconds(request) else self._decided(request)
        self.later = self._later
        self.under_way = 0
        self.finished: list[str] = []
        self.cancelled = threading.Event()

    @staticmethod
    def _seconds(request: Request) -> float:
        return float(request.headers.get("x-slow", "0"))

    @staticmethod
    def _decided(request: Request) -> Decision:
        if "x-fail" in request.headers:
            msg = "made up"
            raise RuntimeError(msg)
        return decided(grant=granted(id=request.headers.get("x-key", "k1")))

    async def _later(self, request: Request) -> Decision:
        self.under_way += 1
        try:
            await asyncio.sleep(self._seconds(request))
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        finally:
            self.under_way -= 1
        self.finished.append(request.headers.get("x-key", ""))
        return self._decided(request)


@pytest.fixture
def engine() -> Slow:
    return Slow()


@pytest.fixture
def address(engine: Slow) -> Iterator[Port]:
    door = VerifyDoor(engine, Networks.of(["127.0.0.1"]))
    with served(console, door.protocol) as found:  # type: ignore[arg-type] # never called
        yield found


def asked(key: str, seconds: float = 0.0, **more: str) -> bytes:
    headers = [*TOLD, ("X-Key", key), *more.items()]
    return written("GET", "/nginx", [*headers, ("X-Slow", str(seconds))] if seconds else headers)


def key_of(wire: Wire) -> str:
    answer = wire.answer()
    assert answer.status == 200
    return str(answer.one("X-Latchgate-Credential"))


def test_answers_keep_their_order_on_a_pipelined_connection(address, engine):
    with Wire(address) as wire:
        wire.send(
            asked("a") + asked("b", 0.2) + asked("c") + asked("d", 0.05) + asked("e") + asked("f")
        )
        assert [key_of(wire) for _ in range(6)] == list("abcdef")
        wire.send(asked("g"))
        assert key_of(wire) == "g"
    # What stood behind a slow one was not even decided before: it may have been revoked meanwhile.
    order = [request.headers["x-key"] for request in engine.requests]
    assert order == list("abcdefg")


def test_what_waits_behind_a_slow_one_is_decided_when_its_turn_comes(address, engine):
    with Wire(address) as wire:
        wire.send(asked("a", 0.3) + asked("b"))
        time.sleep(0.1)
        assert [request.headers["x-key"] for request in engine.requests] == ["a"]
        assert [key_of(wire), key_of(wire)] == ["a", "b"]


def test_other_connections_are_not_delayed(address):
    with Wire(address) as slow, Wire(address) as quick:
        slow.send(asked("slow", 1.0))
        begun = time.monotonic()
        for number in range(20):
            quick.send(asked(f"k{number}"))
            assert key_of(quick) == f"k{number}"
        assert time.monotonic() - begun < 0.9
        assert key_of(slow) == "slow"


def test_what_is_sent_meanwhile_is_answered_afterwards(address):
    with Wire(address) as wire:
        wire.send(asked("a", 0.2))
        time.sleep(0.05)
        wire.send(asked("b") + asked("c", 0.05))
        assert [key_of(wire) for _ in range(3)] == ["a", "b", "c"]


def test_a_fault_of_slow_work_is_503_and_the_connection_lives_on(address, caplog):
    with Wire(address) as wire:
        wire.send(asked("a", 0.05, **{"X-Fail": "1"}) + asked("b"))
        assert wire.answer().status == 503
        assert key_of(wire) == "b"
    assert "could not be answered" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_connection_that_asks_for_its_end_gets_its_slow_answer_first(address):
    with Wire(address) as wire:
        wire.send(asked("a", 0.1, Connection="close") + asked("never"))
        assert key_of(wire) == "a"
        assert wire.rest(seconds=3) == b""


def test_whoever_leaves_while_waiting_is_forgotten_and_nobody_else_is(address, engine):
    with Wire(address) as stays:
        with Wire(address) as leaves:
            leaves.send(asked("gone", 30.0))
            time.sleep(0.1)
            stays.send(asked("stays", 0.2))
        assert engine.cancelled.wait(5)
        assert key_of(stays) == "stays"


def test_whoever_leaves_with_more_waiting_has_none_of_that_decided(address, engine):
    with Wire(address) as leaves:
        leaves.send(asked("gone", 0.3) + asked("behind it", 0.1) + asked("and that"))
        time.sleep(0.1)
    until = time.monotonic() + 5
    while engine.under_way:
        assert time.monotonic() < until
        time.sleep(0.01)
    time.sleep(0.2)
    assert "and that" not in [request.headers["x-key"] for request in engine.requests]


def test_a_bad_request_behind_a_slow_one_does_not_overtake_it(address):
    with Wire(address) as wire:
        wire.send(asked("a", 0.2) + b"GET /nginx HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert key_of(wire) == "a"
        assert wire.rest(seconds=3) == b""  # and is the last that this connection says


def test_a_server_that_ends_answers_what_is_under_way(engine):
    door = VerifyDoor(engine, Networks.of(["127.0.0.1"]))
    with served(console, door.protocol) as address:  # type: ignore[arg-type] # never called
        wire = Wire(address)
        wire.send(asked("a", 0.3))
        time.sleep(0.1)
    assert key_of(wire) == "a"
    assert wire.rest(seconds=3) == b""
    wire.close()


def question(key: str, seconds: float = 0.0) -> dict[str, object]:
    headers = {"X-Key": key} | ({"X-Slow": str(seconds)} if seconds else {})
    return {"method": "GET", "target": "/v1/storage/b", "headers": headers}


def test_a_batch_of_slow_and_quick_questions_is_answered_in_its_order(address):
    many = [question(f"k{n}", 0.05 if n % 3 == 0 else 0.0) for n in range(9)]
    with Wire(address) as wire:
        body = json.dumps({"requests": many}).encode()
        wire.send(written("POST", "/", [], body) + asked("after"))
        told = wire.answer().json()["decisions"]
        assert [one["identity"]["X-Latchgate-Credential"] for one in told] == [
            f"k{n}" for n in range(9)
        ]
        assert key_of(wire) == "after"


def test_a_batch_is_decided_anew_when_anything_changed_while_it_waited(address, engine):
    revoked: list[bool] = []

    def say(request: Request) -> Decision | Derive:
        if "x-slow" in request.headers and not revoked:
            return SLOW
        return decided(Reason.CREDENTIAL_REVOKED if revoked else Reason.ALLOWED, granted())

    async def later(_request: Request) -> Decision:
        revoked.append(True)
        engine.position += 1
        return decided(grant=granted())

    engine.say, engine.later = say, later
    body = json.dumps({"requests": [question("quick"), question("slow", 1)]}).encode()
    with Wire(address) as wire:
        told = wire.ask("POST", "/", [], body).json()["decisions"]
    assert [one["allowed"] for one in told] == [False, False]


def test_nothing_more_is_read_from_a_connection_that_waits(address, engine):
    """Else whoever sends without end would fill memory while one password is worked out."""
    with Wire(address) as wire:
        wire.send(asked("a", 0.5))
        time.sleep(0.1)
        flood = asked("b") * 100_000
        sender = threading.Thread(target=_send_until_closed, args=(wire, flood), daemon=True)
        sender.start()
        sender.join(0.3)
        assert sender.is_alive()  # the kernel's buffers are full, and nobody empties them
        assert key_of(wire) == "a"
        assert key_of(wire) == "b"
    sender.join(10)
    assert not sender.is_alive()


def _send_until_closed(wire: Wire, data: bytes) -> None:
    with contextlib.suppress(OSError):
        wire.send(data)


def test_a_server_that_may_wait_no_longer_closes_without_an_answer(engine):
    door = VerifyDoor(engine, Networks.of(["127.0.0.1"]))
    with served(console, door.protocol) as address:  # type: ignore[arg-type] # never called
        wire = Wire(address)
        wire.send(asked("a", 30.0))
        time.sleep(0.1)
    assert engine.cancelled.wait(5)
    assert wire.rest(seconds=3) == b""
    wire.close()
