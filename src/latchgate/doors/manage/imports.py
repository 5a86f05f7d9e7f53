"""Imports: credentials of another system, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.doors.door import bounded_body
from latchgate.doors.manage.answers import json_answer
from latchgate.doors.manage.door import Door, caller
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_parameters
from latchgate.manage.errors import InvalidError
from latchgate.manage.import_judged import Failure
from latchgate.manage.import_lines import ImportLine
from latchgate.manage.import_page import ImportPage, import_page

_JSON_LINES = frozenset({"application/jsonl", "application/x-ndjson"})
_DEFAULTED = ("kind", "owner", "project", "namespace")
_TRUTHS = {"true": True, "false": False}
_TEXT = {"type": "string", "description": "of JSON lines: what `defaults` says in a page"}
_TRUTH = {"type": "string", "enum": ["true", "false"], "description": "of JSON lines"}
_QUERY: Mapping[str, dict[str, Any]] = {
    **dict.fromkeys(_DEFAULTED, _TEXT),
    "tenant": {"type": "string", "description": "of JSON lines: the tenant's id"},
    "user_role": {"type": "string", "description": "of JSON lines: the role of new users"},
    "create_users": _TRUTH,
    "dry_run": _TRUTH,
}


class ImportOutcome(msgspec.Struct, frozen=True):
    """What a page came to: lines that went in and were there already, users that were made.

    `failed` says of each other line what is wrong with it, counted from 1.
    """

    imported: int
    skipped: int
    users: int
    failed: list[Failure]
    dry_run: bool


async def import_credentials(door: Door, request: HttpRequest) -> Response:
    """Import a page of lines."""
    page = await _read_page(request)
    done = await run_in_threadpool(
        import_page,
        door.store,
        door.engine.policy,
        caller(request),
        page,
        entropy=door.entropy,
        now=door.clock(),
    )
    return json_answer(
        ImportOutcome(done.imported, done.skipped, done.users, done.failed, page.dry_run)
    )


async def _read_page(request: HttpRequest) -> ImportPage:
    """Read a page as JSON, or the lines of a file as they are, with the rest in the query."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _JSON_LINES:
        read_parameters(request, {})
        return await read_body(request, ImportPage)
    told = read_parameters(request, _QUERY)
    try:
        text = (await bounded_body(request)).decode()
    except UnicodeDecodeError as error:
        raise HTTPException(400, "The body is not UTF-8 text.") from error
    # Counted as an editor counts them; the last one ends in a line feed or not.
    lines = text.removesuffix("\n").split("\n")
    page: dict[str, Any] = {
        "lines": lines,
        "defaults": {name: told[name] for name in _DEFAULTED if name in told},
    }
    page |= {name: told[name] for name in ("tenant", "user_role") if name in told}
    for name in ("create_users", "dry_run"):
        if told.get(name, "false") not in _TRUTHS:
            raise InvalidError([(name, "must be true or false")])
        page[name] = _TRUTHS[told.get(name, "false")]
    try:
        return msgspec.convert(page, ImportPage)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        raise InvalidError([(path.rstrip("`") or "body", message)]) from error


OPERATIONS = (
    Operation(
        "POST",
        "/manage/v1/imports",
        import_credentials,
        "Import credentials of another system",
        "operator:imports.write",
        body=ImportPage,
        accepts=tuple(sorted(_JSON_LINES)),
        parameters=_QUERY,
        answer=ImportOutcome,
        refusals=(400, 413, 415, 422),
    ),
)

_LINE = {"hash": "9f" * 32, "owner": "ada", "name": "Nightly build"}
_DEFAULTS = {"kind": "acme.imported_key", "scopes": ("acme:read",), "project": "default"}
_FAILURE = {"line": 2, "problem": "owner: the tenant has no user 'bob'"}
EXAMPLES: Mapping[type, dict[str, Any]] = {
    ImportLine: _DEFAULTS,
    ImportPage: {
        "tenant": "t-9f3kq2m7x1vb4c8d",
        "defaults": _DEFAULTS,
        "lines": [_LINE, _LINE | {"owner": "bob"}],
    },
    Failure: _FAILURE,
    ImportOutcome: {
        "imported": 1,
        "skipped": 0,
        "users": 0,
        "failed": [_FAILURE],
        "dry_run": False,
    },
}
