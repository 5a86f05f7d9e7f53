"""Receipts by their number: wait for one now, and the last that were given."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.timestamp import rfc3339
from latchgate.doors.manage.answers import json_answer
from latchgate.doors.manage.door import Door, receipt
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_parameters
from latchgate.doors.manage.shapes import ReceiptShape, Verifier, verifier_shape
from latchgate.manage.errors import InvalidError, NotFoundError
from latchgate.store.verifiers import NotedReceipt

_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
MOST = 100
_QUERY: dict[str, dict[str, Any]] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": MOST, "default": 20},
}


class GivenReceipt(msgspec.Struct, frozen=True):
    """A receipt that was given: `acknowledged` of its verifiers said so, the others lapsed."""

    journal: int
    at: str
    elapsed_ms: float
    acknowledged: int
    verifiers: list[Verifier]


class ReceiptList(msgspec.Struct, frozen=True):
    """The last receipts of all nodes, newest first."""

    receipts: list[GivenReceipt]


async def wait_for_receipt(door: Door, request: HttpRequest) -> Response:
    """Wait from now until every verifier follows a change, and say so."""
    told = request.path_params["journal"]
    if not _NUMBER.fullmatch(told):
        raise InvalidError([("journal", "must be the number of a change")])
    n = int(told)
    head = await run_in_threadpool(door.engine.head)
    if n > head:
        msg = f"there is no change {n}; the last one is {head}"
        raise NotFoundError(msg)
    # Announced again: whoever wrote it may have died before anybody was told.
    await run_in_threadpool(door.store.ring)
    return json_answer(await receipt(door, n))


async def list_receipts(door: Door, request: HttpRequest) -> Response:
    """List the last receipts."""
    told = read_parameters(request, _QUERY).get("limit", "20")
    if not (told.isascii() and told.isdigit() and 1 <= int(told[:4]) <= MOST):
        raise InvalidError([("limit", f"must be a whole number from 1 to {MOST}")])
    found = await run_in_threadpool(door.verifiers.noted, int(told[:4]))
    return json_answer(ReceiptList([given_shape(one) for one in found]))


def given_shape(one: NotedReceipt) -> GivenReceipt:
    """Show a receipt that was kept."""
    return GivenReceipt(
        journal=one.n,
        at=rfc3339(one.at),
        elapsed_ms=round(one.elapsed * 1000, 3),
        acknowledged=one.acknowledged,
        verifiers=[verifier_shape(told) for told in one.verifiers],
    )


OPERATIONS = (
    Operation(
        "GET",
        "/manage/v1/status/receipts",
        list_receipts,
        "The last receipts of all nodes",
        "operator:status.read",
        answer=ReceiptList,
        parameters=_QUERY,
        refusals=(422,),
    ),
    Operation(
        "GET",
        "/manage/v1/receipts/{journal}",
        wait_for_receipt,
        "Wait until every verifier follows a change",
        "manage:receipts.read",
        answer=ReceiptShape,
        refusals=(404, 422),
    ),
)
