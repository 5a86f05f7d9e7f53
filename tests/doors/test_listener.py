"""`Listener` on a live socket, its limits made small: pace, sizes, and what else goes on meanwhile.

What the limits are as shipped, and the framing of requests, is in tests/e2e/test_smuggling.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from typing import ClassVar

import pytest
from tests.doors.verify.served import Port, served
from tests.e2e.wire import Wire, ask, exchange, written
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

from latchgate.doors import listener
from latchgate.doors.listener import Listener

pytestmark = pytest.mark.enable_socket

HEAD = 0.4
BODY = 0.8
IDLE = 0.6
UNREAD = 0.7
HOST = "Host: localhost\r\n"


async def application(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Answer with the body's size: at once, or after the whole body, or after a while."""
    assert scope["type"] == "http"
    size, more = 0, scope["path"] != "/at-once"
    while more:
        event = await receive()
        if event["type"] != "http.request":
            return
        size += len(event["body"])
        more = event["more_body"]
    if scope["path"].startswith("/slow/"):
        await asyncio.sleep(float(scope["path"].removeprefix("/slow/")))
    text = str(size).encode()
    if scope["path"].startswith("/large/"):
        text = bytes(int(scope["path"].removeprefix("/large/")))
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-length", str(len(text)).encode())],
            "trailers": False,
        }
    )
    await send({"type": "http.response.body", "body": text, "more_body": False})


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[Port]:
    monkeypatch.setattr(listener, "HEAD_SECONDS", HEAD)
    monkeypatch.setattr(listener, "BODY_SECONDS", BODY)
    monkeypatch.setattr(listener, "IDLE_SECONDS", IDLE)
    monkeypatch.setattr(listener, "UNREAD_SECONDS", UNREAD)
    monkeypatch.setattr(listener, "_TICK_SECONDS", 0.05)
    with served(application, Seen) as found:
        yield found


class Seen(Listener):
    """A listener whose connections a test can look at."""

    latest: ClassVar[list[Seen]] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.latest[:] = [self]
        self.most_waiting = 0
        super().connection_made(transport)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self.most_waiting = max(self.most_waiting, len(self.pipeline))


def until_gone(connection: Seen) -> float:
    """Return after how long the server has given a connection up."""
    begun = time.monotonic()
    while connection in connection.connections:
        assert time.monotonic() - begun < 10
        time.sleep(0.01)
    return time.monotonic() - begun


def test_a_head_that_is_never_finished_is_ended(address):
    for start in (b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b", b"\r\n"):
        with Wire(address) as wire:
            begun = time.monotonic()
            wire.send(start)
            answer = wire.answer()
            assert (answer.status, answer.one("Connection")) == (408, "close")
            assert answer.json()["status"] == 408
            assert wire.rest() == b""
            assert HEAD * 0.8 < time.monotonic() - begun < HEAD + 4


def test_a_head_that_drips_gets_no_more_time(address):
    with Wire(address) as wire:
        begun = time.monotonic()
        wire.send(f"GET / HTTP/1.1\r\n{HOST}X-A: ".encode())
        with suppress(OSError):
            while time.monotonic() - begun < HEAD + 6:
                wire.send(b"a")
                time.sleep(0.02)
        assert HEAD * 0.8 < time.monotonic() - begun < HEAD + 4


def test_a_second_head_on_a_connection_is_timed_like_the_first(address):
    with Wire(address) as wire:
        for _ in range(3):
            assert wire.ask("GET", "/").status == 200
            time.sleep(HEAD / 2)
        begun = time.monotonic()
        wire.send(b"GET / HTTP/1.1\r\n")
        assert wire.answer().status == 408
        assert time.monotonic() - begun < HEAD + 4


def test_a_body_that_is_never_finished_is_ended(address):
    with Wire(address) as wire:
        begun = time.monotonic()
        wire.send(written("POST", "/", [("Content-Length", "1000")]) + b"x")
        assert wire.answer().status == 408
        assert BODY * 0.8 < time.monotonic() - begun < BODY + 4


def test_a_body_that_drips_gets_no_more_time(address):
    with Wire(address) as wire:
        begun = time.monotonic()
        wire.send(written("POST", "/", [("Content-Length", "100000")]))
        with suppress(OSError):
            while time.monotonic() - begun < BODY + 6:
                wire.send(b"a")
                time.sleep(0.02)
        assert BODY * 0.8 < time.monotonic() - begun < BODY + 4


def test_a_chunks_extension_gets_no_more_time_than_a_body(address):
    """However fast it comes: no byte of it is head or body, and nothing of it is kept."""
    head = written("POST", "/", [("Transfer-Encoding", "chunked")])
    with Wire(address, timeout=BODY + 10) as wire:
        begun = time.monotonic()
        wire.send(head + b"1;")
        with suppress(OSError):
            while time.monotonic() - begun < BODY + 8:
                wire.send(b"a" * 20_000)
        assert BODY * 0.8 < time.monotonic() - begun < BODY + 4


def test_empty_lines_before_a_request_count_into_its_head(address):
    """A parser takes any number of them (RFC 9112 §2.2)."""
    with Wire(address) as wire:
        sent = 0
        with suppress(OSError):
            while sent < 64 << 20:
                wire.send(b"\r\n" * 5_000)
                sent += 10_000
        assert 65_536 < sent < 16 << 20  # what the kernel holds is beside it


def test_a_connection_that_asks_nothing_is_closed_without_a_word(address):
    with Wire(address) as wire:
        begun = time.monotonic()
        assert wire.rest() == b""
        assert IDLE * 0.8 < time.monotonic() - begun < IDLE + 4


def test_a_connection_that_asks_no_more_is_closed_without_a_word(address):
    with Wire(address) as wire:
        assert wire.ask("GET", "/").status == 200
        assert wire.rest() == b""


def test_a_slow_answer_is_waited_for(address):
    seconds = IDLE + BODY + HEAD
    with Wire(address) as wire:
        assert wire.ask("GET", f"/slow/{seconds}").status == 200
        assert wire.ask("POST", "/slow/0.1", [], b"abc").body == b"3"


def test_a_busy_connection_lives_on(address):
    with Wire(address) as wire:
        begun = time.monotonic()
        while time.monotonic() - begun < HEAD + IDLE + BODY:
            assert wire.ask("POST", "/", [], b"abc").body == b"3"
            time.sleep(0.01)


def test_half_open_connections_hold_nobody_up(address, monkeypatch):
    # Longer than a test waits for an answer: whoever was held up by them would get none.
    monkeypatch.setattr(listener, "BODY_SECONDS", 600.0)
    with ExitStack() as opened:
        half = [opened.enter_context(Wire(address)) for _ in range(200)]
        for wire in half:
            wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
        for _ in range(50):
            assert ask(address, "GET", "/").status == 200
        assert all(wire.silent(0.001) for wire in half)


def test_a_body_in_small_pieces_is_whole(address):
    with Wire(address) as wire:
        wire.send(written("POST", "/", [("Transfer-Encoding", "chunked")]))
        for _ in range(20):
            wire.send(b"1\r\na\r\n")
        wire.send(b"0\r\n\r\n")
        assert wire.answer().body == b"20"


def test_a_large_body_is_no_large_head(address):
    body = b"x" * 300_000
    with Wire(address) as wire:
        for _ in range(3):
            assert wire.ask("POST", "/", [], body).body == b"300000"
    pipelined = written("POST", "/", [], body) + written("GET", "/", [("Connection", "close")])
    assert [one.body for one in exchange(address, pipelined)] == [b"300000", b"0"]


def test_many_small_requests_in_one_packet_are_no_large_head(address):
    with Wire(address) as wire:
        wire.send(written("GET", "/") * 3_000)
        assert {wire.answer().status for _ in range(3_000)} == {200}


def test_an_answer_given_before_the_body_came_keeps_the_connection_in_step(address):
    """A body nobody read must not become the next request."""
    inner = written("GET", "/inner")
    head = written("POST", "/at-once", [("Content-Length", str(len(inner)))])
    with Wire(address) as wire:
        wire.send(head)
        assert wire.answer().body == b"0"
        wire.send(inner + written("GET", "/", [("Connection", "close")]))
        assert wire.answer().body == b"0"
        assert wire.rest() == b""


@pytest.mark.parametrize(("size", "status"), [(100, 200), (3_000, 431)])
def test_the_size_of_a_head_is_bounded_by_what_is_configured(address, monkeypatch, size, status):
    monkeypatch.setattr(listener, "MAX_HEAD_BYTES", 1_000)
    for whole in (b"\r\n\r\n", b""):
        data = f"GET / HTTP/1.1\r\n{HOST}X-A: ".encode() + b"a" * size + whole
        found = [one.status for one in exchange(address, data, seconds=2)]
        assert found == ([status] if whole or status != 200 else [408])


def test_the_number_of_headers_is_bounded_by_what_is_configured(address, monkeypatch):
    monkeypatch.setattr(listener, "MAX_HEADERS", 5)
    for number, status in ((4, 200), (5, 431)):
        lines = [(f"X-{at}", "a") for at in range(number)]
        assert ask(address, "GET", "/", lines).status == status


def test_the_length_of_a_target_is_bounded_by_what_is_configured(address, monkeypatch):
    monkeypatch.setattr(listener, "MAX_TARGET_BYTES", 50)
    assert ask(address, "GET", "/" + "a" * 49).status == 200
    assert ask(address, "GET", "/" + "a" * 50).status == 414
    with Wire(address) as wire:  # in pieces, too
        wire.send(b"GET /")
        with suppress(OSError):  # closed before the last piece
            for _ in range(60):
                wire.send(b"a")
                time.sleep(0.001)
        assert wire.answer().status == 414


# Peers that leave their answers unread


def test_who_sends_without_end_and_reads_nothing_is_not_read_from_and_cut_off(address, caplog):
    """As requests, one packet of them takes a hundred times its size."""
    with Wire(address, timeout=3) as wire:
        begun = time.monotonic()
        with suppress(OSError):
            while time.monotonic() - begun < 10:
                wire.send(written("GET", "/") * 1_000)
        (connection,) = Seen.latest
        assert connection.most_waiting < 200
        assert until_gone(connection) < UNREAD + 4
    assert ask(address, "GET", "/").status == 200
    assert caplog.text == ""


@pytest.mark.parametrize("close", [[], [("Connection", "close")]])
def test_who_leaves_a_large_answer_unread_is_cut_off(address, close):
    with Wire(address) as wire:
        wire.send(written("GET", "/large/50000000", close))
        time.sleep(0.2)
        (connection,) = Seen.latest
        assert UNREAD * 0.5 < until_gone(connection) < UNREAD + 4
        with pytest.raises(ConnectionError):
            wire.answer()


def test_who_reads_slowly_but_steadily_gets_all_of_it(address, monkeypatch):
    monkeypatch.setattr(listener, "_READ_BYTES", 1_000)
    with Wire(address) as wire:
        wire.send(written("GET", "/large/16000000"))
        begun, found = time.monotonic(), 0
        while found < 16_000_000:
            found += len(wire.piece(65_536))
            time.sleep(0.01)
        assert time.monotonic() - begun > UNREAD * 2


def test_requests_behind_a_slow_one_are_all_answered_in_order(address):
    many = b"".join(written("POST", "/", [], b"x" * (size % 300 + 1)) for size in range(2_000))
    with Wire(address) as wire:
        wire.send(written("GET", "/slow/0.3") + many)
        assert wire.answer().body == b"0"
        for size in range(2_000):
            assert wire.answer().body == str(size % 300 + 1).encode()
        assert wire.ask("GET", "/").status == 200


def test_time_that_is_waited_for_an_answer_is_not_the_peers(address):
    """Half a head behind a slow request: its time begins when it is read."""
    rest = written("GET", "/") * 200
    with Wire(address) as wire:
        wire.send(written("GET", f"/slow/{HEAD + 1}") + rest[:-5])
        assert [wire.answer().status for _ in range(200)] == [200] * 200
        wire.send(rest[-5:])
        assert wire.answer().status == 200


def test_who_breaks_off_with_requests_waiting_is_no_event(address, caplog):
    for _ in range(20):
        Wire(address).reset(written("GET", "/slow/0.1") + written("GET", "/") * 50)
    time.sleep(0.4)
    assert ask(address, "GET", "/").status == 200
    assert caplog.text == ""


# Many connections


def test_no_more_connections_are_taken_than_twice_the_limit(caplog, monkeypatch):
    monkeypatch.setattr(listener, "_crowded", type(listener._crowded)())  # has told nothing yet
    with served(application, Listener, connections=10) as address, ExitStack() as opened:
        first = opened.enter_context(Wire(address))
        assert first.ask("GET", "/").status == 200
        for _ in range(19):
            opened.enter_context(Wire(address))
        for _ in range(5):
            with Wire(address) as wire:
                answer = wire.answer()  # before it has asked anything
                assert (answer.status, answer.one("Connection")) == (503, "close")
                assert answer.json()["code"] == "service_unavailable"
                assert wire.rest() == b""
        assert first.ask("GET", "/").status == 503  # what uvicorn says from the limit on
    assert caplog.text.count("connections are open") == 1


def test_there_is_room_again_when_connections_end():
    with served(application, Listener, connections=2) as address:
        for _ in range(5):
            with ExitStack() as opened:
                for _ in range(4):
                    wire = opened.enter_context(Wire(address))
                    assert wire.silent(0.05)
                with Wire(address) as refused:
                    assert refused.answer().status == 503
            time.sleep(0.1)
        assert ask(address, "GET", "/").status == 200


# What is turned away is counted, each once


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Port, Counter[str]]]:
    monkeypatch.setattr(listener, "HEAD_SECONDS", HEAD)
    monkeypatch.setattr(listener, "BODY_SECONDS", BODY)
    monkeypatch.setattr(listener, "UNREAD_SECONDS", UNREAD)
    monkeypatch.setattr(listener, "_TICK_SECONDS", 0.05)
    told: Counter[str] = Counter()

    def count(why: str) -> None:
        told[why] += 1

    with served(application, partial(Listener, turned_away=count)) as found:
        yield found, told


def test_each_request_that_is_turned_away_is_counted_once_by_why(counted):
    address, told = counted
    long = "x" * listener.MAX_TARGET_BYTES
    many = "".join(f"X-{number}: a\r\n" for number in range(listener.MAX_HEADERS))
    cases = {
        "request_timeout": f"GET / HTTP/1.1\r\n{HOST}",
        "uri_too_long": f"GET /{long} HTTP/1.1\r\n{HOST}\r\n",
        "request_header_fields_too_large": f"GET / HTTP/1.1\r\n{HOST}{many}\r\n",
        "version_not_supported": f"GET / HTTP/2.0\r\n{HOST}\r\n",
        "request_invalid": "GET / HTTP/1.1\r\n\r\n",
    }
    for why, sent in cases.items():
        before = Counter(told)
        with Wire(address) as wire:
            wire.send(sent.encode())
            assert wire.answer().json()["code"] == why
            assert wire.rest() == b""
        assert told - before == Counter([why])
    with Wire(address) as wire:  # behind one that is answered: the answer is all that is said
        wire.send(written("GET", "/slow/0.3") + b"\0")
        assert wire.answer().status == 200
        assert wire.rest() == b""
    assert told == Counter([*cases, "request_invalid"])
    assert ask(address, "GET", "/").status == 200
    assert told.total() == len(cases) + 1
    assert set(told) <= set(listener.TURNED_AWAY)


def test_answers_that_nobody_takes_are_counted(counted):
    address, told = counted
    with Wire(address) as wire:
        wire.send(written("GET", f"/large/{50 << 20}"))
        begun = time.monotonic()
        while not told and time.monotonic() - begun < 10:
            time.sleep(0.02)
    assert told == Counter([listener.ANSWERS_UNREAD])


def test_connections_over_the_limit_are_counted_whoever_refuses_them():
    told: Counter[str] = Counter()
    factory = partial(Listener, turned_away=lambda why: told.update([why]))
    with served(application, factory, connections=2) as address, ExitStack() as opened:
        wires = [opened.enter_context(Wire(address)) for _ in range(4)]
        assert all(wire.silent(0.05) for wire in wires)
        with Wire(address) as refused:
            assert refused.answer().status == 503
        assert told == Counter(["service_unavailable"])
        assert wires[0].ask("GET", "/").status == 503  # uvicorn's own answer
        assert told == Counter({"service_unavailable": 2})
