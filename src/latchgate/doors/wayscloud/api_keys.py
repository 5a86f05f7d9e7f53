"""The own keys: made, listed, shown, revoked, with the provider's fields.

Source: providers/wayscloud, "Via API (Programmatic)", "Creating API Keys", "Managing API Keys".
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.kinds.service_key import ServiceKey
from latchgate.core.model import Decision
from latchgate.core.timestamp import rfc3339
from latchgate.doors.door import Door, bounded_body, caller
from latchgate.doors.wayscloud.answers import json_answer
from latchgate.manage import own_keys
from latchgate.manage.errors import InvalidError
from latchgate.manage.keys import KeySpec, Line, Name, StoredKey, Text
from latchgate.manage.states import state_of
from latchgate.store.usage import LastUse

_WHOLE = re.compile(r"[0-9]{1,9}")
_MEMBER = re.compile(r"field `([^`]+)`")
# The provider's word for a field of ours.
_FIELDS = {"allowed_ip_ranges": "ip_whitelist"}


class NewKeyForm(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a new key shall be: `service` or `services`, and from where it may be used.

    `ip_whitelist` is an address, a CIDR, several with commas between, or a list; absent or null
    means everywhere. `scopes` absent means every scope of its services; a key across services
    (`pat`) needs them.
    """

    name: Line
    service: Name | None = None
    services: Annotated[list[Name], msgspec.Meta(max_length=32)] | None = None
    description: Text | None = None
    ip_whitelist: (
        Annotated[str, msgspec.Meta(max_length=9_900)]
        | Annotated[list[Name], msgspec.Meta(max_length=100)]
        | None
    ) = None
    scopes: Annotated[list[Name], msgspec.Meta(max_length=256)] | None = None


class Key(msgspec.Struct, frozen=True):
    """A key as it is listed; never its secret. `service` is the one that it is spelled with."""

    id: str
    name: str
    key_prefix: str
    key_type: str
    service: str
    services: list[str]
    description: str
    scopes: list[str]
    ip_whitelist: list[str] | None
    is_active: bool
    created_at: str
    last_used_at: str | None
    expires_at: str | None
    revoked_at: str | None


class NewKey(Key, frozen=True, kw_only=True):
    """A key just made, with its secret, which is shown this once."""

    key: str


async def create(door: Door, request: HttpRequest) -> Response:
    """Make a key for the caller; its secret is in this answer only."""
    form = await _read_form(request)
    now = door.clock()
    try:
        key, issued = await run_in_threadpool(
            own_keys.issue,
            door.store,
            door.engine.policy,
            caller(request),
            _spec(form),
            _provider(request),
            now=now,
            entropy=door.entropy,
        )
    except InvalidError as error:
        told = dict(_FIELDS, services="service" if form.service is not None else "services")
        raise InvalidError([(told.get(name, name), why) for name, why in error.faults]) from error
    shown = msgspec.structs.asdict(_shape(door, key, now, None))
    made = NewKey(**shown, key=issued.secret.reveal())
    return json_answer(made, status=201, location=f"{request.url.path}/{key.id}")


async def listed(door: Door, request: HttpRequest) -> Response:
    """List the caller's keys, oldest first: all of them unless `limit` and `offset` are sent."""
    limit, offset = _page(request)
    found = await run_in_threadpool(
        own_keys.listed,
        door.store,
        caller(request),
        _provider(request),
        limit=limit,
        offset=offset,
    )
    uses = await run_in_threadpool(door.usage.last_uses, [key.id for key in found])
    now = door.clock()
    return json_answer([_shape(door, key, now, uses.get(key.id)) for key in found])


async def show(door: Door, request: HttpRequest) -> Response:
    """Show one of the caller's keys."""
    key = await run_in_threadpool(
        own_keys.shown,
        door.store,
        caller(request),
        _provider(request),
        request.path_params["key_id"],
    )
    return json_answer(await _seen(door, key))


async def revoke(door: Door, request: HttpRequest) -> Response:
    """Revoke one of the caller's keys: when this answers, no verifier accepts it any more."""
    key, n = await run_in_threadpool(
        own_keys.revoke,
        door.store,
        caller(request),
        _provider(request),
        request.path_params["key_id"],
    )
    await door.acknowledged(n)
    return json_answer(await _seen(door, key))


def _provider(request: HttpRequest) -> str:
    decision: Decision = request.scope["latchgate.decision"]
    if decision.area is None:
        raise RuntimeError("the gate let a request in that is in no area")
    return decision.area.provider


async def _seen(door: Door, key: StoredKey) -> Key:
    uses = await run_in_threadpool(door.usage.last_uses, [key.id])
    return _shape(door, key, door.clock(), uses.get(key.id))


def _shape(door: Door, key: StoredKey, now: float, use: LastUse | None) -> Key:
    kind = door.engine.policy.kinds.get(key.kind)
    across = kind.cross_service if isinstance(kind, ServiceKey) else None
    spelled = key.hint.split("_")
    service = spelled[1] if len(spelled) > 1 else ""
    return Key(
        id=key.id,
        name=key.name,
        key_prefix=key.hint.removesuffix("_…"),
        key_type=service if service == across else "service",
        service=service,
        services=key.services,
        description=key.description,
        scopes=key.scopes,
        ip_whitelist=key.allowed_ip_ranges,
        is_active=state_of(key, now) in {"active", "superseded"},
        created_at=rfc3339(key.created_at),
        last_used_at=rfc3339(use.at) if use is not None else None,
        expires_at=rfc3339(key.expires_at) if key.expires_at is not None else None,
        revoked_at=rfc3339(key.revoked_at) if key.revoked_at is not None else None,
    )


async def _read_form(request: HttpRequest) -> NewKeyForm:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "Content-Type must be application/json")
    held = await bounded_body(request)
    try:
        form = msgspec.json.decode(held, type=NewKeyForm)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(400, f"The body is not JSON: {error}") from error
    if (form.service is None) is (form.services is None):
        raise InvalidError([("service", "give either service or services")])
    return form


def _invalid(message: str) -> InvalidError:
    """Return the library's message with the member that it is about."""
    plain, _, path = message.partition(" - at `$.")
    member = _MEMBER.search(plain)
    return InvalidError([(path.rstrip("`") or (member[1] if member else "body"), plain)])


def _spec(form: NewKeyForm) -> KeySpec:
    asked: dict[str, Any] = {
        "name": form.name,
        "services": [form.service] if form.service is not None else form.services,
        "description": form.description or "",
        "scopes": form.scopes,
        "allowed_ip_ranges": _ranges(form.ip_whitelist),
    }
    try:
        return msgspec.convert(asked, KeySpec)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from error


def _ranges(told: str | list[str] | None) -> list[str] | None:
    """Read a whitelist; an empty one could mean everywhere or nowhere, so it is neither."""
    if told is None:
        return None
    found = [one.strip() for one in (told.split(",") if isinstance(told, str) else told)]
    if not found or "" in found:
        why = "name addresses or CIDRs such as 203.0.113.7 or 10.0.0.0/8, or leave it out"
        raise InvalidError([("ip_whitelist", why)])
    return found


def _page(request: HttpRequest) -> tuple[int | None, int]:
    items = request.query_params.multi_items()
    told = dict(items)
    unknown = sorted(set(told) - {"limit", "offset"})
    if unknown or len(told) < len(items):
        name = unknown[0] if unknown else items[0][0]
        raise InvalidError([(name, "the query takes limit and offset, each once")])
    for name, text in told.items():
        if not _WHOLE.fullmatch(text) or (name == "limit" and int(text) == 0):
            least = 1 if name == "limit" else 0
            raise InvalidError([(name, f"must be a whole number from {least} to 999999999")])
    limit = int(told["limit"]) if "limit" in told else None
    return limit, int(told.get("offset", "0"))
