"""What goes out: JSON as Keystone writes it, its errors, its headers.

Rule of this file: nothing here is made from what the client says of itself, `Host` least of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.types import Scope, Send

from latchgate.core.dialects import Challenge
from latchgate.doors.asgi import DECISION_HEADER, ExactName

SUBJECT = ExactName(b"X-Subject-Token")
MALFORMED = (
    "The server could not comply with the request since it is either malformed or otherwise"
    " incorrect. The client is assumed to be in error."
)
NO_SIGN_IN = "The request you have made requires authentication."
NOT_AUTHORIZED = "You are not authorized to perform the requested action: "

encode = msgspec.json.Encoder().encode
# The standard library's phrases of these differ between versions of Python.
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
_JSON = (b"content-type", b"application/json")
_FIXED = ((b"vary", b"X-Auth-Token"), (b"cache-control", b"no-store"))
_Pairs = Iterable[tuple[bytes, bytes]]


class Answer(msgspec.Struct, frozen=True):
    """A worded answer; no body means that there is none, as with 204."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()


class RefusedError(Exception):
    """A request that is answered with an error; `more` are further members beside the message."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        more: Mapping[str, Any] | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        self.status = status
        self.message = message
        self.more = more or {}
        self.headers = headers
        super().__init__(message)


def bad_request(problem: str) -> RefusedError:
    """Return the error of a request that can't be read; `problem` says what was expected."""
    return RefusedError(400, f"{problem} {MALFORMED}")


def unauthorized(decision: str = "") -> RefusedError:
    """Return the one error of every wrong credential; `decision` is the id of what refused it."""
    headers = ((DECISION_HEADER.lower().encode(), decision.encode()),) if decision else ()
    return RefusedError(401, NO_SIGN_IN, headers=headers)


def forbidden(action: str) -> RefusedError:
    """Return the error of what a token may not do."""
    return RefusedError(403, f"{NOT_AUTHORIZED}{action}.")


def not_found(message: str = "The resource could not be found.") -> RefusedError:
    """Return the error of what isn't there, or not for this token to see."""
    return RefusedError(404, message)


def unavailable() -> RefusedError:
    """Return the error of what could not be decided or done now."""
    return RefusedError(503, "The service is currently unavailable.")


def json_answer(told: object, *, status: int = 200, headers: _Pairs = ()) -> Answer:
    """Answer a value as JSON."""
    return Answer(status, encode(told), tuple(headers))


def error_answer(error: RefusedError, identity_url: str) -> Answer:
    """Word an error; a 401 says where tokens are given out."""
    title = _TITLES.get(error.status) or HTTPStatus(error.status).phrase
    told = {"code": error.status, "message": error.message, "title": title, **error.more}
    headers = [*error.headers]
    if error.status == HTTPStatus.UNAUTHORIZED:
        challenge = str(Challenge("Keystone", "", None, None, uri=identity_url))
        headers.append((b"www-authenticate", challenge.encode("latin-1")))
    return Answer(error.status, encode({"error": told}), tuple(headers))


async def send_answer(answer: Answer, scope: Scope, send: Send, request_id: bytes) -> None:
    """Send an answer; `request_id` are 16 random bytes that name it to whoever reads logs."""
    # A UUID of version 4, as clients expect one (RFC 9562 §5.4).
    told = request_id.hex()
    named = f"req-{told[:8]}-{told[8:12]}-4{told[13:16]}-a{told[17:20]}-{told[20:]}".encode()
    headers = [*_FIXED, *answer.headers, (b"x-openstack-request-id", named)]
    if answer.body:
        headers += (_JSON, (b"content-length", str(len(answer.body)).encode()))
    elif answer.status != HTTPStatus.NO_CONTENT:
        headers.append((b"content-length", b"0"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else answer.body
    await send({"type": "http.response.body", "body": body})
