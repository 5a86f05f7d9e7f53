"""The export of a tenant, for its administrators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import IO, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response, StreamingResponse

from latchgate.doors.manage.door import Door, caller
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body
from latchgate.manage.tenant_export import ExportRequest
from latchgate.manage.tenant_export import export_tenant as export

_LINES = "application/x-ndjson"
_CHUNK = 65_536  # bytes


async def export_tenant(door: Door, request: HttpRequest) -> Response:
    """Write the caller's tenant and a row of the journal, then stream it; no count, not whole."""
    await read_body(request, ExportRequest)
    file = await run_in_threadpool(export, door.store, caller(request), now=door.clock())
    headers = {"Cache-Control": "no-store"}
    return StreamingResponse(_chunks(file), headers=headers, media_type=_LINES)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK):
            yield chunk


OPERATIONS = (
    Operation(
        "POST",
        "/manage/v1/export",
        export_tenant,
        "Export the own tenant as JSON lines",
        "manage:export.read",
        body=ExportRequest,
        answer=None,
        media=_LINES,
        refusals=(403, 413, 415, 422, 429, 503),
    ),
)

EXAMPLES: Mapping[type, dict[str, Any]] = {ExportRequest: {"format": "latchgate-export-1"}}
