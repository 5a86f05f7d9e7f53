"""ATTACKS D2 line 21: bytes that two servers could cut into requests in two ways.

All three of Latchgate's addresses, which share one reader of HTTP. Every case asks a second
question inside or behind the first; being answered twice is the fault. Sources: RFC 9112 §2.2,
§3, §5, §6, §7, §11.2.
"""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from tests.e2e.stack import Latchgate
from tests.e2e.wire import Answer, Wire, ask, bearer, exchange, written

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

HOST = "Host: localhost\r\n"
NEXT = f"GET /healthz?smuggled HTTP/1.1\r\n{HOST}\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"


@pytest.fixture(scope="module", params=["api", "console", "verify"])
def address(request, latchgate: Latchgate):
    return getattr(latchgate, request.param)


def head(*lines: str, start: str = "POST /x HTTP/1.1") -> str:
    return "\r\n".join([start, "Host: localhost", *lines, "", ""])


def told(answers: list[Answer]) -> list[int]:
    return [answer.status for answer in answers]


BODY = head("Transfer-Encoding: chunked")
END = "0\r\n\r\n"
UNREADABLE = {
    "length and chunked": head("Content-Length: 99", "Transfer-Encoding: chunked") + END,
    "chunked and length": head("Transfer-Encoding: chunked", "Content-Length: 4") + END,
    "length twice, alike": head("Content-Length: 0", "Content-Length: 0"),
    "length twice, unlike": head("Content-Length: 0", f"Content-Length: {len(NEXT)}"),
    "length listed": head("Content-Length: 0, 0"),
    "length with a sign": head("Content-Length: +0"),
    "length below zero": head("Content-Length: -1"),
    "length in hex": head("Content-Length: 0x0"),
    "length with a space inside": head("Content-Length: 1 0"),
    "length beyond 64 bits": head("Content-Length: 18446744073709551616"),
    "length empty": head("Content-Length: "),
    "length not a number": head("Content-Length: a"),
    "coding unknown": head("Transfer-Encoding: xchunked") + END,
    "coding identity": head("Transfer-Encoding: identity"),
    "coding chunked first": head("Transfer-Encoding: chunked, identity") + END,
    "coding twice": head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + END,
    "coding then identity": head("Transfer-Encoding: chunked", "Transfer-Encoding: identity") + END,
    "coding behind a control byte": head("Transfer-Encoding: \x0bchunked") + END,
    "coding quoted": head('Transfer-Encoding: "chunked"') + END,
    "coding with a parameter": head("Transfer-Encoding: chunked;q=1") + END,
    "space before the colon": head("Content-Length : 0"),
    "tab before the colon": head("Transfer-Encoding\t: chunked") + END,
    "folded line": head("X-A: b", " c"),
    "folded coding": head("Transfer-Encoding:", " chunked") + END,
    "folded first line": f"POST /x HTTP/1.1\r\n X-A: b\r\n{HOST}\r\n",
    "bare LF everywhere": head().replace("\r\n", "\n"),
    "bare LF after a header": f"POST /x HTTP/1.1\r\nX-A: b\n{HOST}\r\n",
    "bare LF at the end": f"POST /x HTTP/1.1\r\n{HOST}\n",
    "bare LF after the request line": f"POST /x HTTP/1.1\n{HOST}\r\n",
    "bare CR in a value": head("X-A: b\rContent-Length: 5"),
    "bare CR at the end of a line": f"POST /x HTTP/1.1\r\nX-A: b\r{HOST}\r\n",
    "NUL in a value": head("X-A: b\0c"),
    "NUL in a name": head("X-\0A: b"),
    "control byte in a value": head("X-A: b\x01c"),
    "space in a name": head("X A: b"),
    "no name": head(": b"),
    "no colon": head("X-A"),
    "byte outside ASCII in a name": head("X-\xe9: b"),
    "Host twice": head("Host: localhost"),
    "Host twice, unlike": head("host: evil.example"),
    "no Host": "POST /x HTTP/1.1\r\nX-A: b\r\n\r\n",
    "HTTP/0.9": "GET /healthz\r\n\r\n",
    "HTTP/1.2": head(start="GET /healthz HTTP/1.2"),
    "HTTP/2.0": head(start="GET /healthz HTTP/2.0"),
    "HTTP/3.0": head(start="GET /healthz HTTP/3.0"),
    "another protocol": head(start="GET /healthz HTCPCP/1.0"),
    "lower-case protocol": head(start="GET /healthz http/1.1"),
    "HTTP/2's preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "lower-case method": head(start="get /healthz HTTP/1.1"),
    "unknown method": head(start="FOO /healthz HTTP/1.1"),
    "space in the target": head(start="GET /heal thz HTTP/1.1"),
    "tab for a space": head(start="GET\t/healthz\tHTTP/1.1"),
    "NUL in the target": head(start="GET /heal\0thz HTTP/1.1"),
    "byte outside ASCII in the target": head(start="GET /heal\xe9 HTTP/1.1"),
    "no target": head(start="GET HTTP/1.1"),
    "chunk size not hex": BODY + "zz\r\n{}\r\n0\r\n\r\n",
    "chunk size with 0x": BODY + "0x2\r\n{}\r\n0\r\n\r\n",
    "chunk size with a sign": BODY + "+2\r\n{}\r\n0\r\n\r\n",
    "chunk size beyond 64 bits": BODY + "10000000000000002\r\n{}\r\n0\r\n\r\n",
    "chunk size with a space": BODY + "2 \r\n{}\r\n0\r\n\r\n",
    "chunk ended by bare LF": BODY + "2\n{}\n0\n\n",
    "chunk longer than told": BODY + "2\r\n{}xx\r\n0\r\n\r\n",
    "chunk extension with a bare LF": BODY + "2;a\nb\r\n{}\r\n0\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("case", UNREADABLE)
def test_d2_21_what_can_be_read_in_two_ways_ends_the_connection(address, case):
    answers = exchange(address, (UNREADABLE[case] + NEXT).encode("latin-1"), seconds=5)
    # A body may be found broken only after its head was answered; never is there a second answer.
    assert len(answers) == 1
    assert answers[0].status in {400, 404, 405, 505}
    assert answers[0].status != 404 or "chunk " in case


@pytest.mark.parametrize("case", UNREADABLE)
def test_d2_21_the_refusal_is_a_problem_document(latchgate, case):
    (answer,) = exchange(latchgate.verify, (UNREADABLE[case] + NEXT).encode("latin-1"), seconds=5)
    assert answer.status in {400, 505}
    assert answer.one("Content-Type") == "application/problem+json"
    assert answer.one("Connection") == "close"
    assert answer.json()["status"] == answer.status


@pytest.mark.parametrize("upgrade", ["websocket", "h2c", "TLS/1.2, HTTP/1.1", "x"])
@pytest.mark.parametrize("body", ["Content-Length", "Transfer-Encoding"])
@pytest.mark.parametrize("apart", [False, True])
def test_d2_21_a_body_after_an_upgrade_is_not_a_request(address, upgrade, body, apart):
    """The parser skips the body of a request with Upgrade, so its bytes came to be a request."""
    inner = NEXT.encode()
    length = (body, str(len(inner)) if body == "Content-Length" else "chunked")
    headers = [("Connection", "Upgrade"), ("Upgrade", upgrade), length]
    with Wire(address, timeout=3) as wire:
        wire.send(written("POST", "/x", headers))
        if apart:
            wire.silent(0.3)  # the server has seen the head alone
        if body == "Transfer-Encoding":
            inner = f"{len(inner):x}\r\n".encode() + inner + b"\r\n0\r\n\r\n"
        wire.send(inner)
        found: list[Answer] = []
        with suppress(OSError):
            while True:
                found.append(wire.answer())
    assert len(found) == 1
    assert found[0].status in {400, 404, 501}


def test_an_upgrade_is_not_taken_up_and_not_an_event(latchgate):
    logged = latchgate.stderr
    for address in (latchgate.verify, latchgate.api, latchgate.console):
        for upgrade in ("websocket", "h2c"):
            headers = [
                ("Connection", "Upgrade"),
                ("Upgrade", upgrade),
                ("HTTP2-Settings", "AAMAAABk"),
            ]
            answer = ask(address, "GET", "/healthz", headers)
            assert answer.status == 200
            assert answer.every("Upgrade") == []
    assert latchgate.stderr == logged  # no traceback, nothing about a missing library


def test_d2_21_what_follows_the_headers_of_a_chunked_body_is_no_header(latchgate, keys):
    """RFC 9110 §6.5.1: trailers are not to be merged into the header section."""
    key = f"Authorization: Bearer {keys.storage.text}\r\n"
    lines = (
        "X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /v1/storage/b\r\nX-Forwarded-Host: a\r\n"
        "X-Forwarded-Proto: https\r\nX-Forwarded-For: 198.51.100.1\r\n"
    )
    start = f"GET /forwarded HTTP/1.1\r\n{HOST}{lines}"
    plain, *_ = exchange(latchgate.verify, f"{start}{key}\r\n".encode(), seconds=1)
    assert plain.status == 200
    trailed, *_ = exchange(
        latchgate.verify, f"{start}{CHUNKED}\r\n0\r\n{key}\r\n".encode(), seconds=1
    )
    assert trailed.status in {400, 401}
    # Last in its list, a forwarded address would be believed before the gateway's.
    bound = latchgate.key(allowed_ip_ranges=["192.0.2.7"])
    start += f"Authorization: Bearer {bound.text}\r\n{CHUNKED}\r\n0\r\n"
    moved, *_ = exchange(
        latchgate.verify, f"{start}X-Forwarded-For: 192.0.2.7\r\n\r\n".encode(), seconds=1
    )
    assert moved.status in {400, 403}


def test_d2_21_nobody_signs_in_to_the_api_behind_a_chunked_body(latchgate):
    body = '{"name": "trailed", "services": ["storage"]}'
    data = (
        f"POST /manage/v1/keys HTTP/1.1\r\n{HOST}Content-Type: application/json\r\n{CHUNKED}\r\n"
        f"{len(body):x}\r\n{body}\r\n0\r\nAuthorization: Bearer {latchgate.token}\r\n\r\n"
    )
    answer, *_ = exchange(latchgate.api, data.encode(), seconds=2)
    assert answer.status in {400, 401}


def test_requests_sent_at_once_are_answered_in_order(address):
    data = b"".join(
        written("GET", "/healthz" if number % 3 else f"/x{number}") for number in range(60)
    )
    answers = exchange(address, data + written("GET", "/healthz", [("Connection", "close")]))
    assert told(answers) == [200 if number % 3 else 404 for number in range(60)] + [200]


def test_what_can_not_be_read_does_not_overtake_the_answer_before_it(latchgate):
    """The first request is carried out, so its answer is its own and not the second one's."""
    body = b'{"name": "first", "services": ["storage"]}'
    headers = [bearer(latchgate.token), ("Content-Type", "application/json")]
    first = written("POST", "/manage/v1/keys", headers, body)
    answers = exchange(latchgate.api, first + b"GARBAGE\r\n\r\n", seconds=5)
    assert told(answers)[0] == 201
    assert told(answers)[1:] in ([], [400])


def test_nothing_is_read_behind_connection_close(address):
    data = written("GET", "/healthz", [("Connection", "close")]) + NEXT.encode() * 3
    assert told(exchange(address, data)) == [200]


@pytest.mark.parametrize("size", [1, 100, 5_000])
def test_a_body_with_a_get_is_read_to_its_end(address, size):
    with Wire(address) as wire:
        for _ in range(3):
            assert wire.ask("GET", "/healthz", [], b"x" * size).status == 200


def test_a_refused_body_is_read_to_its_end_or_the_connection_ends(address):
    inner = (NEXT * 50).encode()
    answers = exchange(address, written("POST", "/x", [], inner), seconds=2)
    assert told(answers) in ([404], [405])


# Limits


def test_too_many_headers(address):
    for number, status in ((99, 200), (100, 431), (5_000, 431)):
        lines = "".join(f"X-{at}: a\r\n" for at in range(number))
        answers = exchange(
            address, f"GET /healthz HTTP/1.1\r\n{HOST}{lines}\r\n".encode(), seconds=1
        )
        assert told(answers) == [status]


def test_too_long_a_target(address):
    with Wire(address) as wire:
        assert wire.ask("GET", "/healthz?" + "a" * 16_000).status in {200, 404}
    for size in (16_384, 60_000):
        (answer,) = exchange(
            address, f"GET /{'a' * size} HTTP/1.1\r\n{HOST}\r\n".encode(), seconds=5
        )
        assert (answer.status, answer.one("Connection")) == (414, "close")


@pytest.mark.parametrize("size", [66_000, 100_000, 200_000])
@pytest.mark.parametrize("headers", [1, 60])
@pytest.mark.parametrize("whole", [True, False])
def test_too_long_a_head(address, size, headers, whole):
    """However fast it comes, and whether or not its end is in the same packet."""
    lines = "".join(f"X-{at}: {'a' * (size // headers)}\r\n" for at in range(headers))
    data = f"GET /healthz HTTP/1.1\r\n{HOST}{lines}" + ("\r\n" if whole else "")
    (answer,) = exchange(address, data.encode(), seconds=5)
    assert (answer.status, answer.one("Connection")) == (431, "close")


def test_a_head_in_small_pieces(address):
    with Wire(address) as wire:
        for byte in written("GET", "/healthz"):
            wire.send(bytes([byte]))
        assert wire.answer().status == 200


def test_the_codes_of_the_limits_are_the_same_with_every_python(latchgate):
    """The standard library's phrases are not: 413 and 414 were renamed in 3.13."""
    many = "".join(f"X-{at}: a\r\n" for at in range(200))
    codes = []
    for address, data in (
        (
            latchgate.verify,
            written("POST", "/", [("Content-Length", "2000000")]) + bytes(2_000_000),
        ),
        (latchgate.api, f"GET /{'a' * 20_000} HTTP/1.1\r\n{HOST}\r\n".encode()),
        (latchgate.api, f"GET / HTTP/1.1\r\n{HOST}{many}\r\n".encode()),
    ):
        (answer,) = exchange(address, data, seconds=5)
        told = answer.json()
        assert told["type"] == f"urn:latchgate:problem:{told['code']}"
        codes.append(told["code"])
    assert codes[0] == "request_too_large"  # as everywhere else
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", code) for code in codes), codes


def test_d7_62_garbage_does_not_fill_the_log(latchgate):
    before = len(latchgate.stderr)
    for _ in range(200):
        exchange(latchgate.api, b"GARBAGE\r\n\r\n", seconds=5)
    assert len(latchgate.stderr) - before < 5_000
