"""What a client sends: one form, and who it says it is.

Rule of this file: strict, and nothing twice. A parameter sent twice could be read one way here and
another way by what stands before us; a client that proves itself in two ways is refused whichever
is right (RFC 6749 §2.3, §3.2; RFC 9700 §2.1).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import parse_qsl, unquote_plus

from starlette.types import Receive, Scope

from latchgate.core.model import Request
from latchgate.oauth.errors import Code, OAuthError

MAX_FORM = 65_536
_MAX_FIELDS = 50
# Every header that the answer to a form can depend on.
_READ = frozenset({b"authorization", b"content-type", b"content-encoding"})
_FORM = "application/x-www-form-urlencoded"
_KIND = re.compile(rf"{_FORM}(?:\s*;\s*charset=\"?utf-8\"?)?", re.IGNORECASE)
_BASIC = re.compile(r"basic +([A-Za-z0-9+/=_-]+)", re.IGNORECASE)
# The escapes are decoded strictly: of another spelling nobody knows what it means.
_ESCAPED = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")


@dataclass(frozen=True, slots=True)
class Form:
    """The parameters of a request; one without a value counts as not sent (RFC 6749 §3.2)."""

    told: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Form({', '.join(sorted(self.told))})"

    def get(self, name: str) -> str | None:
        """Return a parameter, None when it was not sent."""
        return self.told.get(name) or None

    def need(self, name: str) -> str:
        """Return a parameter; OAuthError invalid_request when it was not sent."""
        value = self.get(name)
        if value is None:
            raise OAuthError(Code.INVALID_REQUEST, f"the parameter {name} is missing")
        return value


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who a client says it is, and its secret if it has one; `basic` says how it was sent."""

    client_id: str
    secret: str | None
    basic: bool

    def __repr__(self) -> str:
        return f"Credentials({self.client_id[:64]!r})"


async def read_body(receive: Receive) -> bytes:
    """Read a body of at most 64 KiB; OAuthError invalid_request for a longer one."""
    held = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise OAuthError(Code.INVALID_REQUEST, "the connection ended before the body")
        held += message.get("body", b"")
        if len(held) > MAX_FORM:
            msg = f"the body is longer than {MAX_FORM} bytes"
            raise OAuthError(Code.INVALID_REQUEST, msg, 413)
        if not message.get("more_body", False):
            return bytes(held)


def question_of(scope: Scope, body: bytes) -> bytes:
    """Return a digest of all that is read of a form: of two alike the answers are alike."""
    told = [
        name.lower() + b"\0" + value for name, value in scope["headers"] if name.lower() in _READ
    ]
    parts = [scope.get("query_string", b""), *told, body]
    return sha256(b"".join(len(one).to_bytes(4, "big") + one for one in parts)).digest()


def read_form(scope: Scope, body: bytes, request: Request) -> Form:
    """Read a form; OAuthError invalid_request for anything else."""
    if request.fault is not None:
        raise OAuthError(Code.INVALID_REQUEST, "the request could not be read")
    if scope.get("query_string"):
        msg = "parameters are sent in the body: an address is written to logs"
        raise OAuthError(Code.INVALID_REQUEST, msg)
    kind = request.headers.get("content-type", "")
    if "content-type" in request.repeated or _KIND.fullmatch(kind.strip()) is None:
        raise OAuthError(Code.INVALID_REQUEST, f"send the parameters as {_FORM}")
    if "content-encoding" in request.headers:
        raise OAuthError(Code.INVALID_REQUEST, "send the parameters without a content coding")
    return _parsed(body)


def _parsed(body: bytes) -> Form:
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            max_num_fields=_MAX_FIELDS,
            errors="strict",
        )
    except ValueError:
        msg = f"the body is not {_FORM}, or holds more than {_MAX_FIELDS} parameters"
        raise OAuthError(Code.INVALID_REQUEST, msg) from None
    told = dict(pairs)
    if len(told) < len(pairs):
        raise OAuthError(Code.INVALID_REQUEST, "a parameter was sent twice")
    return Form(told)


def read_credentials(request: Request, form: Form) -> Credentials | None:
    """Return who a client says it is; None when it says nothing.

    OAuthError invalid_request when it says so twice, invalid_client for a way that is not taken.
    """
    named, secret = form.get("client_id"), form.get("client_secret")
    if form.get("client_assertion") is not None or form.get("client_assertion_type") is not None:
        msg = "clients prove themselves with their secret, by Basic or in the body"
        raise OAuthError(Code.INVALID_CLIENT, msg, 401)
    header = request.headers.get("authorization")
    if header is None and named is not None:
        return Credentials(named, secret, basic=False)
    if header is None:
        if secret is not None:
            raise OAuthError(Code.INVALID_REQUEST, "client_secret was sent without client_id")
        return None
    if "authorization" in request.repeated or secret is not None:
        msg = "a client proves itself once: by Authorization or in the body"
        raise OAuthError(Code.INVALID_REQUEST, msg)
    told = _basic(header)
    if named is not None and named != told.client_id:
        raise OAuthError(Code.INVALID_REQUEST, "client_id is another one than in Authorization")
    return told


def _basic(header: str) -> Credentials:
    """Read RFC 7617 Basic, each half form-encoded as RFC 6749 §2.3.1 has it."""
    found = _BASIC.fullmatch(header)
    try:
        text = base64.b64decode(found[1], validate=True).decode() if found is not None else ""
        name, secret = (_unescaped(half) for half in text.split(":", 1))
    except ValueError:  # of base64 and of UTF-8 too
        name = secret = ""
    if not name:
        msg = "Authorization is not Basic with the client's id and secret, both form-encoded"
        raise OAuthError(Code.INVALID_CLIENT, msg, 401)
    return Credentials(name, secret or None, basic=True)


def _unescaped(text: str) -> str:
    if _ESCAPED.fullmatch(text) is None:
        raise ValueError(text[:0])
    return unquote_plus(text, errors="strict")
