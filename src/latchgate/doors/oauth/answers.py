"""How answers of the OAuth2 endpoints go out.

Rule of this file: whatever carries a token is not kept by anything on its way (RFC 6749 §5.1), and
what programs in browsers may read says so without letting cookies along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from starlette.types import Scope, Send

from latchgate.oauth.errors import Code, OAuthError

_encode = msgspec.json.Encoder().encode
Headers = tuple[tuple[bytes, bytes], ...]
_JSON = (b"content-type", b"application/json")
_FIXED: Headers = ((b"x-content-type-options", b"nosniff"),)
KEPT_NOWHERE: Headers = ((b"cache-control", b"no-store"), (b"pragma", b"no-cache"))
BROWSERS: Headers = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"WWW-Authenticate, Retry-After"),
)
_PREFLIGHT: Headers = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-headers", b"Authorization, Content-Type"),
    (b"access-control-max-age", b"3600"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes out; `headers` beside those that every answer has."""

    status: int
    body: bytes = b""
    headers: Headers = KEPT_NOWHERE


def said(told: object, *, status: int = 200, headers: Headers = KEPT_NOWHERE) -> Answer:
    """Return an answer in JSON."""
    return Answer(status, _encode(told), headers)


def refused(error: OAuthError, challenge: str | None = None, wait: int | None = None) -> Answer:
    """Return an error as RFC 6749 §5.2 has it, with the challenge that it is met with."""
    told: Mapping[str, str] = {"error": error.code, "error_description": error.description}
    headers = KEPT_NOWHERE
    if challenge is not None:
        headers += ((b"www-authenticate", challenge.encode()),)
    if wait is not None:
        headers += ((b"retry-after", str(wait).encode()),)
    return said(told, status=error.status, headers=headers)


def not_allowed(methods: tuple[str, ...]) -> Answer:
    """Return what a method is answered with that an endpoint does not take."""
    error = OAuthError(Code.INVALID_REQUEST, f"this endpoint takes {' and '.join(methods)}", 405)
    answer = refused(error)
    return Answer(405, answer.body, (*KEPT_NOWHERE, (b"allow", ", ".join(methods).encode())))


def preflight(methods: tuple[str, ...]) -> Answer:
    """Return what a browser is told that asks before it lets a page ask (Fetch §3.2)."""
    listed = (b"access-control-allow-methods", ", ".join(methods).encode())
    return Answer(204, b"", (*_PREFLIGHT, listed))


async def send_answer(answer: Answer, scope: Scope, send: Send) -> None:
    """Send an answer."""
    headers = [*_FIXED, *answer.headers]
    if answer.body:
        headers += (_JSON, (b"content-length", str(len(answer.body)).encode()))
    elif answer.status == 200:  # noqa: PLR2004 - RFC 9110 §8.6: 204 has no length
        headers.append((b"content-length", b"0"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else answer.body
    await send({"type": "http.response.body", "body": body})
