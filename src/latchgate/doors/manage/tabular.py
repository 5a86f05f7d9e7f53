"""Tables as JSON, CSV and JSON lines: which of them is wanted, and how its cells are written."""

from __future__ import annotations

from enum import StrEnum

import msgspec
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.doors.manage.answers import json_answer
from latchgate.doors.reports import as_csv
from latchgate.manage.errors import InvalidError
from latchgate.manage.usage import Table


class Format(StrEnum):
    """How a table is written."""

    JSON = "json"
    CSV = "csv"
    LINES = "jsonl"


_MEDIA = {Format.CSV: "text/csv", Format.LINES: "application/jsonl"}
OTHERS = tuple(_MEDIA.values())
PARAMETER = {
    "type": "string",
    "enum": [str(one) for one in Format],
    "description": "instead of what Accept asks for: JSON, CSV or JSON lines",
}


def wanted(request: HttpRequest, told: str | None) -> Format:
    """Return the format that `format=` names, or the first that `Accept` does; JSON otherwise."""
    if told is not None:
        if told not in {str(one) for one in Format}:
            raise InvalidError([("format", f"must be one of {', '.join(Format)}")])
        return Format(told)
    for part in request.headers.get("accept", "").split(","):
        name = part.partition(";")[0].strip().lower()
        for one, media in _MEDIA.items():
            if name == media:
                return one
    return Format.JSON


def answer(table: Table, written: Format, shape: object) -> Response:
    """Answer a table; `shape` is what is told as JSON."""
    if written is Format.JSON:
        told = json_answer(shape)
    else:
        body = as_csv(table) if written is Format.CSV else _lines(table)
        told = Response(body, headers={"Cache-Control": "no-store"}, media_type=_MEDIA[written])
    told.headers["Vary"] = "Accept"
    return told


def _lines(table: Table) -> bytes:
    return b"".join(msgspec.json.encode(row) + b"\n" for row in table.rows)
