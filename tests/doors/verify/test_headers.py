"""What `VerifyProtocol` reads of a head, on a live socket, beside RFC 9110 §5 read word by word.

However headers are collected, these must come out the same: names in any case, in any order, lines
of one name as one list, nothing left of the request before, the limits sharp.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence

import pytest
from tests.doors.verify.served import Port, served
from tests.doors.verify.test_protocol import TOLD, Told
from tests.e2e.wire import Wire, ask, exchange, written

from latchgate.core.model import Request
from latchgate.core.network import Networks
from latchgate.doors.console import console
from latchgate.doors.listener import MAX_HEAD_BYTES, MAX_HEADERS
from latchgate.doors.verify import VerifyDoor

pytestmark = pytest.mark.enable_socket

Lines = Sequence[tuple[str, str]]
NAMES = (
    "Authorization", "Accept", "X-API-Key", "X-A", "X-B", "Cookie", "X-Forwarded-For", "User-Agent",
    "X-Original-Query", "x" * 100, "!#$%&'*+-.^_`|~0",
)  # fmt: skip
VALUES = ("", "a", "b, c", "Bearer x y", "\xe9\xff", 'q"uo"ted', "a" * 3_000, ":", "  ")


@pytest.fixture
def engine() -> Told:
    return Told()


@pytest.fixture
def address(engine: Told) -> Iterator[Port]:
    door = VerifyDoor(engine, Networks.of(["127.0.0.1"]))
    with served(console, door.protocol) as found:  # type: ignore[arg-type] # never called
        yield found


def read(lines: Lines) -> tuple[dict[str, str], frozenset[str]]:
    """Read lines as RFC 9110 §5.1 to §5.5 say: the headers by name, and which came more than once.

    What §5.5 calls optional whitespace around a value is none of it.
    """
    found: dict[str, list[str]] = {}
    for name, value in (("Host", "localhost"), *lines):
        found.setdefault(name.lower(), []).append(value.strip(" \t"))
    return (
        {name: ", ".join(values) for name, values in found.items()},
        frozenset(name for name, values in found.items() if len(values) > 1),
    )


def spelled(rng: random.Random, name: str) -> str:
    return rng.choice((name, name.lower(), name.upper(), name.swapcase(), name.title()))


def drawn(rng: random.Random) -> list[tuple[str, str]]:
    """Draw a head that nginx may have sent: its own lines somewhere among a client's."""
    lines = [*TOLD]
    lines += [(rng.choice(NAMES), rng.choice(VALUES)) for _ in range(rng.randrange(12))]
    rng.shuffle(lines)
    return [(spelled(rng, name), value) for name, value in lines]


def assert_read(request: Request, lines: Lines) -> None:
    headers, repeated = read(lines)
    assert dict(request.headers) == headers
    assert request.repeated == repeated


@pytest.mark.parametrize("seed", range(4))
def test_every_head_is_read_as_it_was_sent_whatever_came_before_it(address, engine, seed):
    rng = random.Random(seed)
    heads = [drawn(rng) for _ in range(150)]
    heads += rng.choices(heads, k=150)  # the same names again, in the same order
    with Wire(address) as wire:
        for lines in heads:
            assert wire.ask("GET", "/nginx", lines).status in {200, 401, 403}
    assert len(engine.requests) == len(heads)
    for request, lines in zip(engine.requests, heads, strict=True):
        assert_read(request, lines)


@pytest.mark.parametrize("seed", range(4))
def test_heads_in_one_packet_and_in_pieces_are_read_alike(address, engine, seed):
    rng = random.Random(seed)
    heads = [drawn(rng) for _ in range(60)]
    data = b"".join(written("GET", "/nginx", lines) for lines in heads)
    with Wire(address) as wire:
        at = 0
        while at < len(data):
            size = rng.choice((1, 2, 3, 17, 200, 5_000, 60_000))
            wire.send(data[at : at + size])
            at += size
            if rng.random() < 0.1:
                time.sleep(0.002)
        for _ in heads:
            wire.answer()
    for request, lines in zip(engine.requests, heads, strict=True):
        assert_read(request, lines)


def test_connections_that_take_turns_do_not_share_a_header(address, engine):
    """One has a key, one has none, one spells it in capitals, one sends it twice."""
    ours: list[Lines] = [
        [*TOLD, ("Authorization", "Bearer a")],
        TOLD,
        [*TOLD, ("AUTHORIZATION", "Bearer b")],
        [*TOLD, ("authorization", "Bearer c"), ("Authorization", "Bearer d")],
        [("Authorization", "Bearer e"), *TOLD],
    ]
    wires = [Wire(address) for _ in ours]
    try:
        for _ in range(40):
            for wire, lines in zip(wires, ours, strict=True):
                head = written("GET", "/nginx", lines)
                wire.send(head[: len(head) // 2])  # all of them half read at once
            for wire, lines in zip(wires, ours, strict=True):
                head = written("GET", "/nginx", lines)
                wire.send(head[len(head) // 2 :])
                assert wire.answer().status == 200
    finally:
        for wire in wires:
            wire.close()
    for at, request in enumerate(engine.requests):
        assert_read(request, ours[at % len(ours)])


def test_a_head_that_was_refused_leaves_nothing_to_the_next_connection(address, engine):
    refused = "GET /nginx HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\nX-A : b\r\n"
    for _ in range(20):
        (answer,) = exchange(address, f"{refused}\r\n".encode(), seconds=3)
        assert answer.status == 400
        assert ask(address, "GET", "/nginx", TOLD).status == 200
    for request in engine.requests:
        assert "authorization" not in request.headers


@pytest.mark.parametrize(
    "lines",
    [
        [("Host", "localhost")],
        [("host", "localhost")],
        [("HOST", "evil.example")],
        [("hOsT", "")],
    ],
)
def test_a_second_host_in_any_spelling_is_refused(address, engine, lines):
    for order in ([*lines, *TOLD], [*TOLD, *lines]):
        (answer,) = exchange(address, written("GET", "/nginx", order), seconds=3)
        assert answer.status == 400
    assert engine.requests == []


@pytest.mark.parametrize("name", [name for name, _ in TOLD])
def test_a_line_of_the_gateways_that_came_twice_is_believed_neither_time(address, engine, name):
    """In any spelling and order, equal or not (ATTACKS D1: the client's own line beside it)."""
    for more in (name, name.lower(), name.upper()):
        for value in ("192.0.2.1", dict(TOLD)[name]):
            ask(address, "GET", "/nginx", [(more, value), *TOLD])
            ask(address, "GET", "/nginx", [*TOLD, (more, value)])
    assert len(engine.requests) == 12
    for request in engine.requests:
        assert request.fault is not None
        assert name.lower() in request.fault[1]


@pytest.mark.parametrize("name", [name for name, _ in TOLD])
def test_a_line_that_the_gateway_did_not_send_is_missed_after_any_number_that_had_it(
    address, engine, name
):
    whole, without = TOLD, [line for line in TOLD if line[0] != name]
    with Wire(address) as wire:
        for lines in (whole, whole, without, whole, without, without):
            wire.ask("GET", "/nginx", lines)
    faults = [request.fault is not None for request in engine.requests]
    assert faults == [False, False, True, False, True, True]


def test_a_line_that_is_empty_is_none_of_the_gateways(address, engine):
    for name, _ in TOLD:
        lines = [(found, "" if found == name else value) for found, value in TOLD]
        ask(address, "GET", "/nginx", lines)
    assert all(request.fault is not None for request in engine.requests)


# Limits: the listener's own, at their edge. Host is one of the hundred.


def names_alike(number: int) -> list[tuple[str, str]]:
    return [("X-A", str(at)) for at in range(number)]


def names_in_two_spellings(number: int) -> list[tuple[str, str]]:
    return [("X-A" if at % 2 else "x-a", str(at)) for at in range(number)]


def names_apart(number: int) -> list[tuple[str, str]]:
    return [(f"X-{at}", "a") for at in range(number)]


@pytest.mark.parametrize("lines", [names_alike, names_in_two_spellings, names_apart])
@pytest.mark.parametrize("url", ["/nginx", "/healthz", "/x"])
def test_a_hundred_headers_and_not_one_more(address, engine, lines, url):
    more = TOLD if url == "/nginx" else []
    room = MAX_HEADERS - 1 - len(more)
    for round_ in range(2):  # the second time, every name is known
        assert ask(address, "GET", url, [*lines(room), *more]).status in {200, 404}, round_
        (answer,) = exchange(address, written("GET", url, [*lines(room + 1), *more]), seconds=3)
        assert (answer.status, answer.one("Connection")) == (431, "close")
    assert len(engine.requests) == (2 if url == "/nginx" else 0)


def test_the_count_of_headers_begins_anew_with_every_request(address):
    head = written("GET", "/healthz", names_apart(60))
    with Wire(address) as wire:
        wire.send(head * 5)
        assert [wire.answer().status for _ in range(5)] == [200] * 5


@pytest.mark.parametrize("pieces", [1, 7, 300])
def test_a_head_of_64_kib_and_not_a_byte_more(address, engine, pieces):
    """Its last empty line is not counted; headers short of the limit by number."""
    for more, status in ((0, 200), (1, 431)):
        head = written("GET", "/nginx", [*TOLD, ("X-Long", "")])
        room = MAX_HEAD_BYTES - (len(head) - len("\r\n\r\n")) + more
        head = written("GET", "/nginx", [*TOLD, ("X-Long", "a" * room)])
        size = -(-len(head) // pieces)
        with Wire(address) as wire:
            for at in range(0, len(head), size):
                wire.send(head[at : at + size])
                if pieces > 1:
                    time.sleep(0.001)
            assert wire.answer().status == status
    assert len(engine.requests) == 1
    assert len(engine.requests[0].headers["x-long"]) > 65_000


def test_names_that_nobody_sent_before_are_read_like_those_that_everybody_sends(address, engine):
    """More of them than are remembered (protocol._MAX_NAMES)."""
    with Wire(address) as wire:
        for round_ in range(120):
            lines = [(f"X-{round_}-{at}", str(at)) for at in range(90)]
            wire.ask("GET", "/nginx", [*TOLD, *lines])
            assert_read(engine.requests[-1], [*TOLD, *lines])
        wire.ask("GET", "/nginx", TOLD)
        assert_read(engine.requests[-1], TOLD)
