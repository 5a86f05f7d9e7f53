"""The journal as an audit trail: list it, export it, sign its head, look for tampering."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response, StreamingResponse

from latchgate.core.timestamp import parse_rfc3339, rfc3339
from latchgate.doors.manage.answers import json_answer, problem
from latchgate.doors.manage.door import Door, caller
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body
from latchgate.keyring.errors import KeyringError
from latchgate.manage import audit, chain
from latchgate.manage.errors import InvalidError

_LINES = "application/x-ndjson"
_NUMBER = re.compile(r"[0-9]{1,15}")
_TEXTS = ("actor", "action", "noun", "record", "credential", "tenant")
_TIMES = ("since", "until")
_QUERY: dict[str, dict[str, Any]] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
    "after": {"type": "string", "description": "the `next` of the page before"},
    "actor": {"type": "string", "description": "the whole name, or its first word (`user:u-…`)"},
    "action": {"type": "string", "description": "such as `key.create`"},
    "noun": {"type": "string", "description": "what the record is of, such as `credential`"},
    "record": {"type": "string", "description": "the record's id"},
    "credential": {"type": "string", "description": "the id of what the actor came with"},
    "tenant": {"type": "string", "description": "a tenant's id; others' are the operator's to see"},
    "since": {"type": "string", "description": "an RFC 3339 time, included"},
    "until": {"type": "string", "description": "an RFC 3339 time, not included"},
}


class AuditRow(msgspec.Struct, frozen=True):
    """One change: who did what to which record, when, from where and with which credential.

    `detail` holds `before` and `after` where a record's columns changed; never a secret. `hash`
    covers the row and the row before it.
    """

    n: int
    at: str
    actor: str
    action: str
    noun: str
    record: str
    tenant_id: str | None
    credential_id: str | None
    address: str | None
    detail: dict[str, Any]
    hash: str


class AuditPage(msgspec.Struct, frozen=True):
    """A page of rows, oldest first; `next` is the `after` of the following page."""

    rows: list[AuditRow]
    next: int | None


class AuditVerify(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What to compare the journal with: a head that was kept, or null, and its key."""

    against: audit.Head | None
    public_key: audit.Short | None = None


async def list_audit(door: Door, request: HttpRequest) -> Response:
    """Page through the journal, as far as it is the caller's to see."""
    wanted, limit, after = _read_query(request.query_params.multi_items())
    rows, following = await run_in_threadpool(
        audit.listed, door.store, caller(request), wanted, limit=limit, after=after
    )
    shown = [AuditRow(**msgspec.structs.asdict(row) | {"at": rfc3339(row.at)}) for row in rows]
    return json_answer(AuditPage(rows=shown, next=following))


async def show_audit_head(door: Door, _request: HttpRequest) -> Response:
    """Sign where the journal stands."""
    try:
        head = await run_in_threadpool(audit.head, door.store, door.master_key, now=door.clock())
    except KeyringError as error:
        return _unsigned(error)
    return json_answer(head)


async def export_audit(door: Door, request: HttpRequest) -> Response:
    """Stream the whole journal, its signed head last; what ends without it is not whole."""
    try:
        # Signed before the first byte: later, a refusal could not be said any more.
        head = await run_in_threadpool(audit.head, door.store, door.master_key, now=door.clock())
    except KeyringError as error:
        return _unsigned(error)
    headers = {"Cache-Control": "no-store"}
    if request.method == "HEAD":
        return Response(None, headers=headers, media_type=_LINES)
    return StreamingResponse(audit.exported(door.store, head), headers=headers, media_type=_LINES)


async def verify_audit(door: Door, request: HttpRequest) -> Response:
    """Check the journal from its first row on."""
    asked = await read_body(request, AuditVerify)
    if asked.public_key is not None and asked.against is None:
        raise InvalidError([("public_key", "is the key of a head; give against too")])
    if asked.against is not None and asked.against.format != audit.HEAD_FORMAT:
        raise InvalidError([("against.format", f"must be {audit.HEAD_FORMAT}")])
    report = await run_in_threadpool(
        chain.verify_database,
        door.store.database,
        against=asked.against,
        public_key=asked.public_key,
    )
    return json_answer(report)


def _unsigned(error: KeyringError) -> Response:
    return problem(503, "signing_unavailable", f"{error}.")


def _read_query(items: list[tuple[str, str]]) -> tuple[audit.Filter, int, int]:
    told = dict(items)
    if len(told) < len(items):
        raise InvalidError([("query", "a parameter is given twice")])
    unknown = sorted(set(told) - set(_QUERY))
    if unknown:
        raise InvalidError([(unknown[0], f"there is no such parameter; use {', '.join(_QUERY)}")])
    faults: list[tuple[str, str]] = []
    times: dict[str, float] = {}
    for name in _TIMES:
        if name in told:
            try:
                times[name] = parse_rfc3339(told[name])
            except ValueError as error:
                faults.append((name, str(error)))
    limit, after = told.get("limit", "100"), told.get("after", "0")
    if not _NUMBER.fullmatch(limit) or not 1 <= int(limit) <= audit.MAX_PAGE:
        faults.append(("limit", f"must be a whole number from 1 to {audit.MAX_PAGE}"))
    if not _NUMBER.fullmatch(after):
        faults.append(("after", "must be the number of a row, or the `next` of a page"))
    if faults:
        raise InvalidError(faults)
    texts: dict[str, object] = {name: told[name] for name in _TEXTS if name in told}
    return msgspec.convert(texts | times, audit.Filter), int(limit), int(after)


OPERATIONS = (
    Operation(
        "GET",
        "/manage/v1/audit",
        list_audit,
        "List what was changed, oldest first",
        "manage:audit.read",
        answer=AuditPage,
        parameters=_QUERY,
        refusals=(403, 422),
    ),
    Operation(
        "GET",
        "/manage/v1/audit/head",
        show_audit_head,
        "Sign where the journal stands",
        "operator:audit.read",
        answer=audit.Head,
        refusals=(503,),
    ),
    Operation(
        "GET",
        "/manage/v1/audit/export",
        export_audit,
        "Export the journal as JSON lines, a signed head last",
        "operator:audit.read",
        answer=None,
        media=_LINES,
        refusals=(503,),
    ),
    Operation(
        "POST",
        "/manage/v1/audit/verify",
        verify_audit,
        "Look for altered, removed or reordered rows",
        "operator:audit.read",
        body=AuditVerify,
        answer=chain.Report,
        refusals=(400, 413, 415, 422),
    ),
)
