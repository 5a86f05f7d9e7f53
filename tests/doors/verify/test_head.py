"""The usual head is read in one step, and whatever may be anything else is read by nobody here."""

from __future__ import annotations

import pytest

from latchgate.doors.verify import head as heads
from latchgate.doors.verify.head import HeadReader, request_lines

LINES = request_lines(["/nginx", "/forwarded"])
USUAL = (
    b"GET /nginx HTTP/1.1\r\nHost: latchgate\r\nX-Original-URI: /v1/a?b=c\r\n"
    b"authorization:  Bearer  k\r\nX-Empty:\r\n\r\n"
)
READ = (
    "/nginx",
    {
        "host": "latchgate",
        "x-original-uri": "/v1/a?b=c",
        "authorization": "Bearer  k",
        "x-empty": "",
    },
)


def with_line(line: bytes) -> bytes:
    return USUAL[:-2] + line + b"\r\n\r\n"


def test_a_usual_head_is_read_and_nothing_of_it_is_left_for_the_next():
    reader = HeadReader(LINES)
    assert reader.read(USUAL) == READ
    other = b"GET /forwarded HTTP/1.1\r\nHOST: other\r\n\r\n"
    assert reader.read(other) == ("/forwarded", {"host": "other"})
    assert reader.read(USUAL) == READ


UNUSUAL = {
    "repeated": with_line(b"Authorization: Bearer other"),
    "repeated in one spelling": with_line(b"X-Empty: full"),
    "folded": with_line(b"X-Folded: a\r\n b"),
    "length": with_line(b"Content-Length: 0"),
    "chunked": with_line(b"Transfer-Encoding: chunked"),
    "a body": with_line(b"Content-Length: 2")[:-2] + b"\r\nab",
    "close": with_line(b"Connection: close"),
    "upgrade": with_line(b"Upgrade: h2c"),
    "expect": with_line(b"Expect: 100-continue"),
    "no host": USUAL.replace(b"Host:", b"X-Host:"),
    "many": with_line(b"\r\n".join(b"X-%d: 1" % number for number in range(97))),
    "HTTP/1.0": USUAL.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "another method": USUAL.replace(b"GET ", b"HEAD "),
    "another target": USUAL.replace(b"/nginx ", b"/nginx?a "),
    "a space more": USUAL.replace(b"GET ", b"GET  "),
    "an empty line before": b"\r\n" + USUAL,
    "two": USUAL + USUAL,
    "one and a half": USUAL + USUAL[:20],
    "a half": USUAL[:40],
    "no end": USUAL[:-2],
    "outside ASCII": with_line(b"X-Name: \xfc"),
    "a control byte": with_line(b"X-Name: a\x00b"),
    "a space before the colon": with_line(b"X-Name : a"),
    "no name": with_line(b": a"),
    "no colon": with_line(b"X-Name"),
    "a bare line feed": with_line(b"X-Name: a\nX-Other: b"),
    "repeated, and a bare line feed less": with_line(b"X-Empty: a\rX-Name: b"),
    "long": with_line(b"X-Long: " + b"a" * heads.MAX_BYTES),
    "nothing": b"",
}


@pytest.mark.parametrize("data", UNUSUAL.values(), ids=UNUSUAL)
def test_what_is_not_usual_is_left_to_the_listener_and_spoils_nothing(data):
    reader = HeadReader(LINES)
    for _ in range(2):
        assert reader.read(data) is None
        assert reader.read(USUAL) == READ


def test_the_most_headers_that_are_taken_are_read():
    reader = HeadReader(LINES)
    names = [f"x-{number}" for number in range(95)]
    found = reader.read(with_line(b"\r\n".join(f"{one}: 1".encode() for one in names)))
    assert found is not None
    assert len(found[1]) == 99
    assert set(names) < set(found[1])


def test_shapes_are_remembered_within_bounds(monkeypatch):
    monkeypatch.setattr(heads, "_shapes", {})
    monkeypatch.setattr(heads, "MAX_SHAPES", 3)
    reader = HeadReader(LINES)
    for number in range(10):
        assert reader.read(with_line(b"X-%d: 1" % number)) is not None
        assert len(heads._shapes) <= 3
    assert reader.read(with_line(b"X-" + b"a" * 8_000 + b": 1")) is not None
    assert not any(len(name) > 8_000 for shape in heads._shapes for name in shape)
