"""`VerifyProtocol` before peers that send without end, leave answers unread, or are very many."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
from tests.doors.verify.served import Port, served
from tests.doors.verify.test_protocol import TOLD, Told, decided, granted
from tests.e2e.wire import Wire, ask, written

from latchgate.core.network import Networks
from latchgate.core.reason import Reason
from latchgate.doors import listener
from latchgate.doors.console import console
from latchgate.doors.verify import VerifyDoor

pytestmark = pytest.mark.enable_socket

UNREAD = 0.7


class Counting(Told):
    """An engine that keeps nothing but how often it was asked."""

    asked = 0

    def attempt(self, request):
        self.asked += 1
        return self.say(request)


@pytest.fixture
def engine() -> Counting:
    return Counting()


@pytest.fixture
def address(engine: Counting, monkeypatch: pytest.MonkeyPatch) -> Iterator[Port]:
    monkeypatch.setattr(listener, "UNREAD_SECONDS", UNREAD)
    monkeypatch.setattr(listener, "_TICK_SECONDS", 0.05)
    door = VerifyDoor(engine, Networks.of(["127.0.0.1"]))
    with served(console, door.protocol) as found:  # type: ignore[arg-type] # never called
        yield found


def flood(wire: Wire, data: bytes) -> None:
    """Send until the server doesn't let us, or for ten seconds if it always does."""
    until = time.monotonic() + 10
    with suppress(OSError):
        while time.monotonic() < until:
            wire.send(data)


@pytest.mark.parametrize("reason", [Reason.ALLOWED, Reason.CREDENTIAL_UNKNOWN])
def test_who_reads_nothing_is_answered_no_more_and_cut_off(address, engine, reason):
    engine.say = lambda _: decided(reason, granted() if reason is Reason.ALLOWED else None)
    with Wire(address, receive=4_096) as wire:
        begun = time.monotonic()
        flood(wire, written("GET", "/nginx", TOLD) * 1_000)  # until the server breaks it off
        assert UNREAD * 0.8 < time.monotonic() - begun < UNREAD + 8
    told = engine.asked
    assert 0 < told < 60_000  # what the kernel took for it, and one buffer
    assert ask(address, "GET", "/nginx", TOLD).status in {200, 401}
    assert engine.asked == told + 1


def test_who_reads_late_gets_every_answer_in_order(address, engine):
    """More than the kernel and the server keep: both stop, and both go on."""
    engine.say = lambda request: decided(grant=granted(id=request.headers["x-key"]))
    number = 40_000
    with Wire(address, receive=4_096) as wire:
        data = b"".join(
            written("GET", "/nginx", [*TOLD, ("X-Key", f"k{at}")]) for at in range(number)
        )
        sender = threading.Thread(target=wire.send, args=(data,), daemon=True)
        sender.start()
        sender.join(UNREAD / 2)
        assert sender.is_alive()
        assert engine.asked < number
        for at in range(number):
            assert wire.answer().one("X-Latchgate-Credential") == f"k{at}"
        sender.join(10)
        assert not sender.is_alive()
        assert engine.asked == number


def test_who_asked_for_the_end_and_leaves_the_answer_unread_is_cut_off(address, engine):
    """Closing waits for what was written to be taken: for ever, if nobody looked."""
    engine.say = lambda _: decided(Reason.CREDENTIAL_UNKNOWN)
    data = written("GET", "/nginx", TOLD) * 300
    with Wire(address, receive=2_048) as wire:
        flooding = threading.Thread(target=flood, args=(wire, data), daemon=True)
        flooding.start()
        flooding.join(UNREAD + 8)
        assert not flooding.is_alive()


def test_others_are_answered_meanwhile(address):
    with ExitStack() as opened:
        for _ in range(5):  # as much as they can send
            wire = opened.enter_context(Wire(address, timeout=0.1, receive=4_096))
            flood(wire, written("GET", "/nginx", TOLD) * 100)
        slowest = 0.0
        with Wire(address) as wire:
            for _ in range(50):
                begun = time.monotonic()
                assert wire.ask("GET", "/nginx", TOLD).status == 200
                slowest = max(slowest, time.monotonic() - begun)
        assert slowest < 2


# Many connections


def test_no_more_connections_are_taken_than_the_limit_and_those_there_are_go_on(engine, caplog):
    door = VerifyDoor(engine, Networks.of(["127.0.0.1"]))
    with (
        served(console, door.protocol, connections=10) as address,  # type: ignore[arg-type]
        ExitStack() as opened,
    ):
        wires = [opened.enter_context(Wire(address)) for _ in range(10)]
        for _ in range(5):
            with Wire(address) as refused:
                answer = refused.answer()  # whatever it would have asked
                assert (answer.status, answer.one("Connection")) == (503, "close")
                assert refused.rest() == b""
        for wire in wires:
            assert wire.ask("GET", "/nginx", TOLD).status == 200
        wires[0].close()
        time.sleep(0.1)
        assert ask(address, "GET", "/nginx", TOLD).status == 200
