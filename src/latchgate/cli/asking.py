"""What `latchgate call` sends: method, address, headers and body as they were typed.

Rule of this file: credentials are the profile's affair, so no header that holds one is taken; what
can't be sent as it was typed is told, never mended.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

import rich_click as click

from latchgate.cli.output import Failed

_METHOD = re.compile(r"[A-Za-z]{1,32}")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2
_CREDENTIALS = {
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
    "x-auth-token",
    "x-teracloud-api-key",
}
_PRIVATE = re.compile(r"token|key|secret|password|session|signature", re.IGNORECASE)
_FRAMING = {"connection", "content-length", "host", "te", "trailer", "transfer-encoding", "upgrade"}
_IN_MEMORY = 1024 * 1024  # bytes of a file that are looked at for being JSON


@dataclass(frozen=True, slots=True)
class Asked:
    """A request but for its address: `body` may be a file, which is sent as it is read."""

    method: str
    headers: dict[str, str]
    body: bytes | IO[bytes] | None


def asked(method: str, headers: tuple[str, ...], data: str | None) -> Asked:
    """Read what was typed; click.BadParameter says what can't be sent."""
    if not _METHOD.fullmatch(method):
        msg = "a method is a word such as GET"
        raise click.BadParameter(msg, param_hint="METHOD")
    named = _headers(headers)
    if data is None:
        return Asked(method.upper(), named, None)
    body, length = _body(data)
    if "Content-length" not in named and length is not None:
        named["Content-length"] = str(length)
    if "Content-type" not in named:
        named["Content-type"] = _media(body)
    return Asked(method.upper(), named, body)


def address(path: str, base: str) -> str:
    """Return the URL of a path below a profile's address, or of a whole URL.

    What is no ASCII is percent-encoded; a space or a # is a mistake that would be cut off.
    """
    whole = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path) is not None
    if not whole and not path.startswith("/"):
        msg = f"{path!r} begins with no slash, and is no URL"
        raise click.BadParameter(msg, param_hint="PATH")
    if any(char.isspace() or ord(char) < 0x20 or char in "#\x7f" for char in path):  # noqa: PLR2004 - control characters
        msg = "a space is written %20, a # %23; line breaks and control characters are in no path"
        raise click.BadParameter(msg, param_hint="PATH")
    if whole and "@" in path.split("://", 1)[1].split("/", 1)[0]:
        msg = "the address holds a credential: the profile has it"
        raise click.BadParameter(msg, param_hint="PATH")
    try:
        encoded = quote(path, safe="!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
    except UnicodeEncodeError:
        msg = "it holds bytes that are no UTF-8 text"
        raise click.BadParameter(msg, param_hint="PATH")
    return encoded if whole else base.rstrip("/") + encoded


def private(header: str) -> bool:
    """Whether a header may hold a secret, such as the token that `X-Subject-Token` asks about."""
    return _PRIVATE.search(header) is not None


def _headers(texts: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, colon, value = text.partition(":")
        wrong = None
        if not colon or not _NAME.fullmatch(name):
            wrong = "a header is written 'NAME: VALUE'"
        elif name.lower() in _CREDENTIALS:
            wrong = f"{name} is what the profile is for: its credential goes there"
        elif name.lower() in _FRAMING:
            wrong = f"{name} follows from the address and the body"
        elif name.capitalize() in found:
            wrong = f"{name} is given twice"
        elif not value.isprintable() or not _latin(value):
            wrong = f"{name}: its value holds what goes into no header"
        if wrong is not None:
            raise click.BadParameter(wrong, param_hint="-H")
        found[name.capitalize()] = value.strip()  # as urllib keeps them
    return found


def _latin(value: str) -> bool:
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def _body(data: str) -> tuple[bytes | IO[bytes], int | None]:
    if data == "@-":
        return sys.stdin.buffer.read(), None
    if not data.startswith("@"):
        try:
            return data.encode(), None
        except UnicodeEncodeError:
            msg = "it holds bytes that are no UTF-8 text: put them into a file, -d @FILE"
            raise click.BadParameter(msg, param_hint="-d")
    path = Path(data[1:])
    try:
        file = path.open("rb")
        size = file.seek(0, 2)
        file.seek(0)
    except OSError as error:
        raise Failed(f"{path}: {error.strerror}", code=2)
    if size > _IN_MEMORY:
        context = click.get_current_context()
        if context is not None:
            context.call_on_close(file.close)
        return file, size
    with file:
        return file.read(), None


def _media(body: bytes | IO[bytes]) -> str:
    if isinstance(body, bytes):
        try:
            json.loads(body)
        except (ValueError, RecursionError):
            pass
        else:
            return "application/json"
    return "application/octet-stream"
