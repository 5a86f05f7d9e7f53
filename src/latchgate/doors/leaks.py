"""`POST /leaks`: leaked secrets, reported by partners as GitHub's secret scanning does.

Rule of this file: the signature is checked over the raw body before anything in it is read; who
signed nothing learns nothing. Source: GitHub, "Secret scanning partner program".
"""

from __future__ import annotations

import base64
import hashlib
import logging
from typing import Annotated, Literal

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from latchgate.doors.door import Door, bounded_body
from latchgate.manage import leaks
from latchgate.manage.leaks import MAX_TOKEN, MAX_TOKENS, LeakedToken
from latchgate.signin.partners import Partners
from latchgate.store.errors import StoreError, UnstorableError
from latchgate.store.journal import Actor

PATH = "/leaks"
BELOW = (PATH,)
KEY_HEADER = "Github-Public-Key-Identifier"
SIGNATURE_HEADER = "Github-Public-Key-Signature"
_MAX_TEXT = 4_096
_log = logging.getLogger(__name__)


class PartnerToken(msgspec.Struct, frozen=True):
    """What a partner found; more members than these are passed over."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TOKEN)]
    type: Annotated[str, msgspec.Meta(max_length=255)]
    url: Annotated[str, msgspec.Meta(max_length=_MAX_TEXT)] | None = None
    source: Annotated[str, msgspec.Meta(max_length=64)] | None = None

    def __repr__(self) -> str:
        return "PartnerToken(***)"


class Label(msgspec.Struct, frozen=True):
    """What became of one: `token_hash` is base64 of the secret's SHA-256."""

    token_hash: str
    token_type: str
    label: Literal["true_positive", "false_positive"]


_Reported = Annotated[list[PartnerToken], msgspec.Meta(max_length=MAX_TOKENS)]


def application(door: Door, partners: Partners) -> Starlette:
    """Return the ASGI application, which stands behind the gate."""

    async def take(request: HttpRequest) -> Response:
        body = await bounded_body(request)
        partner = await _partner(request, partners, body)
        if partner is None:
            return _problem(401, "authentication_failed", "No known partner signed this body.")
        try:
            told = msgspec.json.decode(body, type=_Reported)
        except msgspec.ValidationError as error:
            return _problem(422, "invalid", f"The body holds what can't be taken: {error}.")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _problem(400, "request_invalid", "The body is not JSON.")
        address = request.scope["latchgate.client"]
        actor = Actor(
            name=f"partner:{partner}",
            tenant_id=None,
            address=str(address) if address is not None else None,
        )
        try:
            return await _handle(door, actor, told)
        except UnstorableError as error:
            return _problem(422, "invalid", f"The body holds what can't be taken: {error}.")
        except StoreError:
            _log.exception("a partner's report could not be kept")
            return _problem(503, "service_unavailable", "It could not be kept; send it again.")

    inner = Starlette(
        routes=[Route(PATH, take, methods=["POST"])],
        exception_handlers={HTTPException: _http_error, Exception: _fault},
    )
    inner.router.redirect_slashes = False
    return inner


async def _partner(request: HttpRequest, partners: Partners, body: bytes) -> str | None:
    key_ids = request.headers.getlist(KEY_HEADER)
    signatures = request.headers.getlist(SIGNATURE_HEADER)
    if len(key_ids) != 1 or len(signatures) != 1:
        return None
    return await partners.signed_by(key_ids[0], signatures[0], body)


async def _handle(door: Door, actor: Actor, told: list[PartnerToken]) -> Response:
    labels: list[Label] = []
    last = 0
    for one in told:
        leak, n = await run_in_threadpool(
            leaks.report,
            door.store,
            door.engine.policy,
            actor,
            LeakedToken(one.token, one.url or "", leaks.source_name(one.source)),
            redact=door.redact,
            entropy=door.entropy,
        )
        hashed = base64.b64encode(hashlib.sha256(one.token.encode()).digest()).decode()
        labels.append(Label(hashed, one.type, "true_positive" if leak else "false_positive"))
        last = max(last, n)
    if last:
        await door.acknowledged(last)
    return Response(
        msgspec.json.encode(labels),
        headers={"Cache-Control": "no-store"},
        media_type="application/json",
    )


def _problem(status: int, code: str, detail: str) -> Response:
    told = {
        "type": f"urn:latchgate:problem:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
    }
    return Response(
        msgspec.json.encode(told),
        status,
        headers={"Cache-Control": "no-store"},
        media_type="application/problem+json",
    )


async def _http_error(_request: HttpRequest, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    code = "request_too_large" if error.status_code == 413 else "request_invalid"  # noqa: PLR2004
    return _problem(error.status_code, code, error.detail)


async def _fault(_request: HttpRequest, error: Exception) -> Response:
    _log.error("a partner's report failed", exc_info=error)
    return _problem(500, "fault", "Latchgate failed; its log says why.")
