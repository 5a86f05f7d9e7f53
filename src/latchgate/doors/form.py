"""Forms that browsers send: where they come from, and what is in them.

Rule of this file: what another site sends is refused (CSRF), whatever it holds, and a field that
came twice or that no page has is refused too. A browser says where a form came from; one that says
nothing (a text browser) is let through here, so whoever has a session asks for a token as well.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import parse_qsl

from starlette.types import Receive

from latchgate.core.model import Request

MAX_FORM = 32_768
_MAX_FIELDS = 40
_NOTHING: Mapping[str, object] = {}
_MOST = 600  # where one field may come several times, as the boxes of scopes do


class FormError(Exception):
    """What can't be answered as asked: a status, and words for people; more headers by name.

    `values` are what stands in the words as `%(name)s`, where they are told in several languages.
    """

    def __init__(
        self, status: int, words: str, values: Mapping[str, object] = _NOTHING, /, **headers: str
    ) -> None:
        self.status = status
        self.words = words
        self.values = values
        self.headers = headers
        super().__init__(words)


def check_origin(request: Request, own: Collection[str]) -> None:
    """Refuse a form that a browser says is another site's (Fetch Metadata; RFC 6454).

    `own` are the origins that are this one; FormError 403.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site not in {None, "same-origin", "none"} or (origin is not None and origin not in own):
        raise FormError(403, "This form can only be sent from its own page.")


async def read_form(
    request: Request,
    receive: Receive,
    names: Collection[str],
    several: Collection[str] = (),
) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Read a form of at most 32 KiB, its fields among `names`, each once; FormError.

    Those of `several` are told apart, as often as they came; `()` for one that did not.
    """
    pairs = read_all(await read_body(request, receive), most=_MOST if several else _MAX_FIELDS)
    found = {name: tuple(text for one, text in pairs if one == name) for name in several}
    single = [(name, text) for name, text in pairs if name not in found]
    return _each_once(single, names), found


async def read_body(request: Request, receive: Receive) -> bytes:
    """Read a form of at most 32 KiB as it was sent; FormError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise FormError(415, "Send the form as application/x-www-form-urlencoded.")
    held = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise FormError(400, "The connection ended before the form was read.")
        held += message.get("body", b"")
        if len(held) > MAX_FORM:
            raise FormError(413, "The form is longer than 32 KiB.")
        if not message.get("more_body", False):
            return bytes(held)


def read_pairs(raw: bytes, names: Collection[str] | None) -> dict[str, str]:
    """Read fields, each once and, where they are told, among `names`; FormError 400."""
    return _each_once(read_all(raw), names)


def _each_once(pairs: list[tuple[str, str]], names: Collection[str] | None) -> dict[str, str]:
    told = dict(pairs)
    if len(told) < len(pairs) or (names is not None and not set(told) <= set(names)):
        raise FormError(400, "A field came twice, or is not one of this page.")
    return told


def read_all(raw: bytes, *, most: int = _MAX_FIELDS) -> list[tuple[str, str]]:
    """Read fields as they came; FormError 400."""
    try:
        return parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=most,
            encoding="utf-8",
            errors="strict",
        )
    except ValueError:
        raise FormError(400, "What was sent could not be read.") from None
