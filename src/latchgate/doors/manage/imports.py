"""Imports: credentials of another system, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.doors.manage.answers import json_answer
from latchgate.doors.manage.door import Door, caller
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body
from latchgate.manage.import_judged import Failure
from latchgate.manage.import_lines import ImportLine
from latchgate.manage.import_page import ImportPage, import_page


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
    page = await read_body(request, ImportPage)
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


OPERATIONS = (
    Operation(
        "POST",
        "/manage/v1/imports",
        import_credentials,
        "Import credentials of another system",
        "operator:imports.write",
        body=ImportPage,
        answer=ImportOutcome,
        refusals=(413, 415, 422),
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
