"""The path that is checked must be the path that is served.

Rule of this file: decode once, and refuse rather than repair whatever two programs could read
in two ways (dot segments, empty segments, backslashes, double encodings, matrix parameters,
control and non-ASCII bytes, overlong UTF-8). Sources: RFC 3986 §2, §3.3; ATTACKS D2.
"""

from __future__ import annotations

import re

import msgspec

MAX_TARGET = 16_384

# What a path that needs no decoding is made of: no text is looked through faster than bytes are.
_PLAIN = b"/ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@"
_LOOKS_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_BYTES = bytes([*range(0x20), 0x7F])
_KEPT_SLASH = "%2F"
_MARK = "\ufffe"  # a noncharacter, which stands for %2F while the rest is decoded
_ESCAPED_MARK = "\\xef\\xbf\\xbe"  # its UTF-8


class Path(msgspec.Struct, frozen=True):
    """A path read without doubt: `text` is decoded once, an encoded slash stays `%2F` in it."""

    text: str
    encoded_slash: bool


_MATRIX = re.compile(r"(;|%3[Bb])")


class PathFault(msgspec.Struct, frozen=True):
    """Why a target was not read as a path, in words for its sender."""

    why: str


def read_path(target: str) -> Path | PathFault:
    """Read the path of a request target such as `/v1/storage/a%20b?list=1`."""
    if len(target) > MAX_TARGET:
        return PathFault(f"the request target is longer than {MAX_TARGET} characters")
    path = target.partition("?")[0]
    return Path(text=path, encoded_slash=False) if is_plain(path) else _slow(path)


def is_plain(path: str) -> bool:
    """Whether a path reads as it stands: nothing encoded, no segment to argue about.

    One with a segment that begins with a dot may still read as it stands.
    """
    return (
        path[:1] == "/"
        and path.isascii()
        and not path.encode().translate(None, _PLAIN)
        and "//" not in path
        # In a long path two characters take 50 times as long to look for as one does.
        and ("." not in path or "/." not in path)
    )


def without_parameters(target: str) -> str:
    """Return a target's path without the matrix parameters of its last segment."""
    head, slash, last = target.partition("?")[0].rpartition("/")
    return head + slash + _MATRIX.split(last, maxsplit=1)[0]


def last_parameters(target: str) -> list[tuple[str, str]]:
    """Return the matrix parameters of a target's last segment, as (name, value), as sent.

    The semicolon may be written `%3B`; nothing else is decoded. Parameters elsewhere are refused
    where the path is read.
    """
    last = target.partition("?")[0].rpartition("/")[2]
    parts = _MATRIX.split(last)[2::2]
    return [(name, value) for name, _, value in (part.partition("=") for part in parts)]


def _slow(path: str) -> Path | PathFault:
    """Decode the path as a whole: a piece at a time costs milliseconds for a long hostile one."""
    why = _fault_as_sent(path)
    if why is not None:
        return PathFault(why)
    slashes = path.lower().count("%2f")
    if slashes:
        path = path.replace("%2F", _ESCAPED_MARK).replace("%2f", _ESCAPED_MARK)
    # Nothing here is a backslash, so that each escape is one byte of what was sent. Reading them
    # takes one pass in C; urllib's way is an object for each.
    try:
        raw = path.replace("%", "\\x").encode().decode("unicode_escape").encode("latin-1")
    except UnicodeDecodeError:
        return PathFault("it holds a % that is not followed by two hexadecimal digits")
    try:
        decoded = raw.decode()
    except UnicodeDecodeError:
        return PathFault("it holds an encoded byte sequence that is not UTF-8")
    if decoded.count(_MARK) != slashes:
        return PathFault("it holds an encoded character that no text has")
    why = _fault_decoded(decoded)
    if why is not None:
        return PathFault(why)
    return Path(text=decoded.replace(_MARK, _KEPT_SLASH), encoded_slash=slashes > 0)


def _fault_as_sent(path: str) -> str | None:
    if not path.startswith("/"):
        return "the request target does not start with /"
    if not path.isascii():
        return "it holds a byte outside ASCII; percent-encode it"
    if _has_control(path) or " " in path:
        return "it holds a space or a control character"
    if "//" in path:
        return "it holds an empty segment (//)"
    if "#" in path:
        return "it holds a fragment (#)"
    if "\\" in path:
        return "it holds a backslash"
    return None


def _fault_decoded(text: str) -> str | None:
    # Text is searched for fixed words: an expression is tried at each dot and slash of a flood.
    segments = text.replace(_MARK, "/") + "/"
    if "/./" in segments or "/../" in segments:
        return "it holds a dot segment"
    # Two that were sent as slashes were refused before: one of these was encoded.
    if "//" in segments[:-1] or text.endswith(_MARK):
        return "an encoded slash stands beside another slash"
    if ";" in text:
        return "it holds a matrix parameter (;) where none belongs"
    if "\\" in text:
        return "it holds an encoded backslash"
    if _has_control(segments):
        return "it holds an encoded control character"
    if "%" in text and _LOOKS_ENCODED.search(text):
        return "it is percent-encoded twice"
    return None


def _has_control(text: str) -> bool:
    if text.isascii():
        raw = text.encode()
        return len(raw.translate(None, _CONTROL_BYTES)) < len(raw)
    return not text.isprintable() and _CONTROL.search(text) is not None
