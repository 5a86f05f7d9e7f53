"""Rotation of every kind of credential, and credentials switched off and on again."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.timestamp import maybe_rfc3339, rfc3339
from latchgate.doors.manage.answers import json_answer
from latchgate.doors.manage.door import Door, Handler, caller, receipt
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_match, read_once, read_optional_body
from latchgate.doors.manage.shapes import ReceiptShape, Switched
from latchgate.manage import access_keys, basic, disabling, keys, rotation, tokens
from latchgate.manage.rotation import Asked, Rows, StoredRotation
from latchgate.manage.rotation_terms import RotationSpec

_KEYS = "/manage/v1/keys"
_TOKENS = "/manage/v1/account/tokens"
_ACCESS_KEYS = "/manage/v1/account/access-keys"
_KEY = f"{_KEYS}/{{key_id}}"
_BEFORE = 30 * 86_400.0  # whom the answer of a rotation names: seconds before it


class SuccessorShape(msgspec.Struct, frozen=True):
    """What took a credential's place; never its secret."""

    id: str
    name: str
    hint: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    version: int


class SourceShape(msgspec.Struct, frozen=True):
    """Where an old credential is still used from: address, program, area, and how often."""

    address: str | None
    agent: str
    area: str
    application_id: str | None
    count: int
    first_at: str
    last_at: str


class Rotation(msgspec.Struct, frozen=True):
    """How far a rotation is.

    The old credential works until `ends_at`, or ends before when it was unused for
    `until_quiet_seconds`; `ended` says that it works no more. `sources` say who used it since
    the rotation; in the answer that begins one, in the 30 days before.
    """

    id: str
    kind: str
    ended: bool
    superseded_at: str
    ends_at: str
    revoked_at: str | None
    until_quiet_seconds: float | None
    successor: SuccessorShape
    last_used_at: str | None
    last_used_from: str | None
    sources: list[SourceShape]


class NewRotation(Rotation, frozen=True, kw_only=True):
    """A rotation just begun, with the successor's secret, which is shown this once.

    `receipt` is there where the old one ended at once.
    """

    secret: str
    receipt: ReceiptShape | None


async def rotate_key(door: Door, request: HttpRequest) -> Response:
    """Rotate a key; the successor's secret is in this answer only."""
    rows = keys.rows(caller(request))
    spec = await _spec(request)
    return await _rotate(door, request, spec, request.path_params["key_id"], rows, below=_KEYS)


async def show_key_rotation(door: Door, request: HttpRequest) -> Response:
    """Show how far a key's rotation is."""
    return await _show(door, request.path_params["key_id"], keys.rows(caller(request)))


async def rotate_token(door: Door, request: HttpRequest) -> Response:
    """Rotate one of one's own tokens; the successor's text is in this answer only."""
    rows = tokens.rows(door.engine.policy, caller(request))
    spec = await _spec(request)
    return await _rotate(door, request, spec, request.path_params["token_id"], rows, below=_TOKENS)


async def show_token_rotation(door: Door, request: HttpRequest) -> Response:
    """Show how far a token's rotation is."""
    rows = tokens.rows(door.engine.policy, caller(request))
    return await _show(door, request.path_params["token_id"], rows)


async def rotate_access_key(door: Door, request: HttpRequest) -> Response:
    """Rotate one of one's own access keys; the successor's secret is in this answer only."""
    rows = access_keys.rows(door.engine.policy, caller(request), door.clock())
    spec = await _spec(request)
    return await _rotate(
        door, request, spec, request.path_params["key_id"], rows, below=_ACCESS_KEYS
    )


async def show_access_key_rotation(door: Door, request: HttpRequest) -> Response:
    """Show how far an access key's rotation is."""
    rows = access_keys.rows(door.engine.policy, caller(request), door.clock())
    return await _show(door, request.path_params["key_id"], rows)


async def rotate_own_basic(door: Door, request: HttpRequest) -> Response:
    """Rotate one's own app password; the new one is in this answer only."""
    return await _rotate_basic(door, request, caller(request).owner.id)


async def show_own_basic_rotation(door: Door, request: HttpRequest) -> Response:
    """Show how far the last rotation of one's own app password is."""
    return await _show_basic(door, request, caller(request).owner.id)


async def rotate_basic(door: Door, request: HttpRequest) -> Response:
    """Rotate a user's app password; the new one is in this answer only."""
    return await _rotate_basic(door, request, request.path_params["user_id"])


async def show_basic_rotation(door: Door, request: HttpRequest) -> Response:
    """Show how far the last rotation of a user's app password is."""
    return await _show_basic(door, request, request.path_params["user_id"])


async def _rotate_basic(door: Door, request: HttpRequest, user_id: str) -> Response:
    spec = await _spec(request)
    record, rows = await _basic_rows(door, request, user_id)
    return await _rotate(door, request, spec, record, rows, below=None)


async def _show_basic(door: Door, request: HttpRequest, user_id: str) -> Response:
    record, rows = await _basic_rows(door, request, user_id)
    rotated = await run_in_threadpool(rotation.shown_of, door.store, record, rows)
    since = rotated.superseded_at
    return json_answer(msgspec.convert(await _fields(door, rotated, since), Rotation))


async def _basic_rows(door: Door, request: HttpRequest, user_id: str) -> tuple[str, Rows]:
    return await run_in_threadpool(
        basic.rotated_rows,
        door.store,
        door.engine.policy,
        caller(request),
        user_id,
        request.path_params["namespace"],
    )


async def disable_key(door: Door, request: HttpRequest) -> Response:
    """Switch a credential off and wait for the receipt."""
    key_id, match = request.path_params["key_id"], read_match(request)
    told = await run_in_threadpool(
        disabling.disable, door.store, caller(request), key_id, match=match
    )
    return await _switched(door, told, active=False)


async def enable_key(door: Door, request: HttpRequest) -> Response:
    """Switch a credential on again and wait for the receipt."""
    key_id, match = request.path_params["key_id"], read_match(request)
    told = await run_in_threadpool(
        disabling.enable, door.store, door.engine.policy, caller(request), key_id, match=match
    )
    return await _switched(door, told, active=True)


async def _switched(door: Door, told: tuple[str, int, int], *, active: bool) -> Response:
    record, version, n = told
    shown = Switched(id=record, active=active, version=version, receipt=await receipt(door, n))
    return json_answer(shown, version=version)


async def _spec(request: HttpRequest) -> RotationSpec:
    return await read_optional_body(request, RotationSpec) or RotationSpec()


async def _rotate(
    door: Door,
    request: HttpRequest,
    spec: RotationSpec,
    record: str,
    rows: Rows,
    *,
    below: str | None,
) -> Response:
    asked = Asked(record, spec, door.clock(), read_once(request, spec), read_match(request))
    rotated, issued, n = await run_in_threadpool(
        rotation.rotate,
        door.store,
        door.engine.policy,
        caller(request),
        asked,
        rows=rows,
        entropy=door.entropy,
    )
    told = await _fields(door, rotated, rotated.superseded_at - _BEFORE)
    version = rotated.successor.version
    if issued is None:
        return json_answer(msgspec.convert(told, Rotation), version=version, replayed=True)
    told["secret"] = issued.secret.reveal()
    # Whoever ended the old one at once relies on it: the answer waits for every verifier.
    told["receipt"] = await receipt(door, n) if rotated.revoked_at is not None else None
    shown = msgspec.convert(told, NewRotation, from_attributes=True)
    location = f"{below}/{rotated.successor.id}" if below is not None else None
    return json_answer(shown, status=201, location=location, version=version)


async def _show(door: Door, record: str, rows: Rows) -> Response:
    rotated = await run_in_threadpool(rotation.shown, door.store, record, rows)
    since = rotated.superseded_at
    return json_answer(msgspec.convert(await _fields(door, rotated, since), Rotation))


async def _fields(door: Door, rotated: StoredRotation, since: float) -> dict[str, Any]:
    uses = await run_in_threadpool(door.usage.last_uses, [rotated.id])
    use = uses.get(rotated.id)
    sources = await run_in_threadpool(door.usage.sources, rotated.id, since=since)
    new = rotated.successor
    return {
        "id": rotated.id,
        "kind": rotated.kind,
        "ended": rotated.revoked_at is not None or door.clock() >= rotated.ends_at,
        "superseded_at": rfc3339(rotated.superseded_at),
        "ends_at": rfc3339(rotated.ends_at),
        "revoked_at": maybe_rfc3339(rotated.revoked_at),
        "until_quiet_seconds": rotated.until_quiet,
        "successor": msgspec.structs.asdict(new)
        | {
            "created_at": rfc3339(new.created_at),
            "expires_at": maybe_rfc3339(new.expires_at),
            "revoked_at": maybe_rfc3339(new.revoked_at),
        },
        "last_used_at": rfc3339(use.at) if use is not None else None,
        "last_used_from": use.address if use is not None else None,
        "sources": [
            {
                "address": one.address,
                "agent": one.agent,
                "area": one.area,
                "application_id": one.application_id,
                "count": one.count,
                "first_at": rfc3339(one.first_at),
                "last_at": rfc3339(one.last_at),
            }
            for one in sources
        ],
    }


def _pair(
    path: str, rotating: Handler, showing: Handler, what: str, sort: str
) -> tuple[Operation, ...]:
    return (
        Operation(
            "POST",
            f"{path}/rotation",
            rotating,
            f"Rotate {what}: a successor takes its place, and the old one ends with its grace",
            f"{sort}.write",
            body=RotationSpec,
            optional=True,
            answer=NewRotation,
            status=201,
            replay=Rotation,
            conditional=True,
            refusals=(400, 403, 404, 409, 413, 415, 422),
        ),
        Operation(
            "GET",
            f"{path}/rotation",
            showing,
            f"Show how far the rotation of {what} is",
            f"{sort}.read",
            answer=Rotation,
            refusals=(404, 422),
        ),
    )


OPERATIONS = (
    *_pair(_KEY, rotate_key, show_key_rotation, "a key", "manage:keys"),
    Operation(
        "POST",
        f"{_KEY}/disable",
        disable_key,
        "Switch a key, API token or access key off for a while, with a receipt",
        "manage:keys.write",
        answer=Switched,
        conditional=True,
        refusals=(404, 409),
    ),
    Operation(
        "POST",
        f"{_KEY}/enable",
        enable_key,
        "Switch a key, API token or access key on again, with a receipt",
        "manage:keys.write",
        answer=Switched,
        conditional=True,
        refusals=(403, 404, 409, 422),
    ),
    *_pair(
        f"{_TOKENS}/{{token_id}}",
        rotate_token,
        show_token_rotation,
        "one of the own API tokens",
        "own:tokens",
    ),
    *_pair(
        f"{_ACCESS_KEYS}/{{key_id}}",
        rotate_access_key,
        show_access_key_rotation,
        "one of the own access keys",
        "own:access-keys",
    ),
    *_pair(
        "/manage/v1/account/basic/{namespace}",
        rotate_own_basic,
        show_own_basic_rotation,
        "the own app password",
        "own:basic",
    ),
    *_pair(
        "/manage/v1/users/{user_id}/basic/{namespace}",
        rotate_basic,
        show_basic_rotation,
        "a user's app password",
        "manage:users",
    ),
)
_AT = "2026-10-01T09:30:00Z"
_ROTATION = {
    "id": "0b3kq2m7x1vb",
    "kind": "wayscloud.service_key",
    "ended": False,
    "superseded_at": _AT,
    "ends_at": "2026-10-08T09:30:00Z",
    "revoked_at": None,
    "until_quiet_seconds": 86_400.0,
    "successor": {
        "id": "7d1n8v3jy6g2",
        "name": "uploader",
        "hint": "wayscloud_storage_7d1n8v3jy6g2_…",
        "created_at": _AT,
        "expires_at": None,
        "revoked_at": None,
        "version": 57,
    },
    "last_used_at": "2026-10-01T09:29:58Z",
    "last_used_from": "203.0.113.9",
    "sources": [
        {
            "address": "203.0.113.9",
            "agent": "rclone/v1.68.2",
            "area": "/v1/storage",
            "application_id": None,
            "count": 17,
            "first_at": "2026-09-29T07:00:02Z",
            "last_at": "2026-10-01T09:29:58Z",
        }
    ],
}
EXAMPLES: dict[type, dict[str, Any]] = {
    RotationSpec: {"grace": "7d", "until_quiet": "24h"},
    Rotation: _ROTATION,
    NewRotation: {**_ROTATION, "secret": "shown this once", "receipt": None},
}
