"""Heads as gateways send them, read in a few steps of C: what is unusual is left to the listener.

Rule of this file: it says what a head is or nothing. It reads one whole request without a body
whose request line is known, each header once; whatever could be anything else is parsed again from
its beginning by the connection's own parser, which knows every limit and every way to refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from latchgate.doors.listener import MAX_HEADERS

MAX_BYTES = 16_384  # of a head that is read here; longer ones are no longer usual
MAX_SHAPES = 1_024
_MAX_SHAPE_BYTES = 4_096
_END = b"\r\n\r\n"
# Headers that make something else of a request than one with no body on a connection that stays.
_UNUSUAL = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
    }
)

# By the names as they were spelled, in order: those names in lower case, where all is usual.
_shapes: dict[tuple[bytes, ...], tuple[str, ...]] = {}


class _Fields:
    """What the parser calls: a header's first value is kept, and nothing else is noted."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}
        self.on_header: Callable[[bytes, bytes], bytes] = self.kept.setdefault


class HeadReader:
    """Reads heads for one connection; `urls` are the targets by their whole request lines."""

    __slots__ = ("_fields", "_parser", "_urls")

    def __init__(self, urls: Mapping[bytes, str]) -> None:
        self._urls = urls
        self._begin()

    def _begin(self) -> None:
        fields = _Fields()
        self._fields = fields.kept
        self._parser = HttpRequestParser(fields)

    def read(self, data: bytes) -> tuple[str, dict[str, str]] | None:
        """Return the target and the headers, names in lower case, of one whole usual request.

        None for whatever else `data` may be, of which nothing is kept.
        """
        url = self._urls.get(data[: data.find(b"\r\n")])
        if url is None or data[-4:] != _END or len(data) > MAX_BYTES or not data.isascii():
            return None
        fields = self._fields
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._begin()
            return None
        spelled = tuple(fields)
        # Each header takes a line, and so do the request and the end: with as many lines as names,
        # none came twice, none was folded and nothing came behind.
        names = _shapes.get(spelled) or _shape(spelled)
        if not names or data.count(b"\n") != len(spelled) + 2:
            self._begin()
            return None
        headers = dict(
            zip(names, map(bytes.decode, fields.values()), strict=False)
        )  # as many, by what it is found by
        fields.clear()
        return url, headers


def request_lines(urls: Iterable[str]) -> dict[bytes, str]:
    """Return the request lines that a gateway asks for these targets with."""
    return {f"GET {url} HTTP/1.1".encode(): url for url in urls}


def _shape(spelled: tuple[bytes, ...]) -> tuple[str, ...]:
    """Return names in lower case; none where one is there twice, or says something unusual."""
    names = tuple([name.decode("ascii").lower() for name in spelled])
    told = frozenset(names)
    if len(told) < len(names) or "host" not in told or not _UNUSUAL.isdisjoint(told):
        return ()
    if len(names) > MAX_HEADERS:
        return ()
    if sum(map(len, spelled)) <= _MAX_SHAPE_BYTES:
        if len(_shapes) >= MAX_SHAPES:
            _shapes.clear()
        _shapes[spelled] = names
    return names
