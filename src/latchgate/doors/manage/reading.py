"""What comes in: bodies and queries, read strictly.

Rule of this file: whatever can't be taken is an InvalidError naming the field, or an HTTPException
when it is not even the right sort of message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest

from latchgate.doors.door import bounded_body
from latchgate.manage.errors import InvalidError
from latchgate.manage.idempotency import FIELD, Once
from latchgate.manage.records import ANY, IfMatch

_VISIBLE = re.compile(r"[!-~]{1,255}")
# RFC 9110 §8.8.3, without the weak ones: a version is exact.
_TAGS = re.compile(r"\"[!#-~]*\"(?:[ \t]*,[ \t]*\"[!#-~]*\")*")
_TAG = re.compile(r"\"([!#-~]*)\"")
_MERGE = "application/merge-patch+json"
# RFC 7240 §4.1: answer without waiting for what goes on behind.
NO_WAIT = "respond-async"
T = TypeVar("T")


async def read_body(request: HttpRequest, shape: type[T]) -> T:
    """Read a bounded JSON body strictly; what is wrong with it is an error naming the field."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind == _MERGE and request.method == "PATCH"):
        raise HTTPException(415, "Send Content-Type: application/json.")
    held = await bounded_body(request)
    try:
        return msgspec.json.decode(held, type=shape)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        raise InvalidError([(path.rstrip("`") or "body", message)]) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(400, f"The body is not JSON: {error}") from error


async def read_optional_body(request: HttpRequest, shape: type[T]) -> T | None:
    """Read a body as `read_body` does, where one was sent; None without."""
    length = request.headers.get("content-length", "0")
    if length == "0" and "transfer-encoding" not in request.headers:
        return None
    return await read_body(request, shape)


def read_parameters(request: HttpRequest, known: Mapping[str, object]) -> dict[str, str]:
    """Read a query whose parameters are known, each once."""
    items = request.query_params.multi_items()
    told = dict(items)
    if len(told) < len(items):
        raise InvalidError([("query", "a parameter is given twice")])
    unknown = sorted(set(told) - set(known))
    if unknown:
        raise InvalidError([(unknown[0], f"there is no such parameter; use {', '.join(known)}")])
    return told


def prefers_no_wait(request: HttpRequest) -> bool:
    """Read `Prefer`: whether no receipt is waited for; preferences not known are ignored."""
    told = ",".join(request.headers.getlist("Prefer")).split(",")
    return any(one.partition(";")[0].strip(" \t").lower() == NO_WAIT for one in told)


def read_once(request: HttpRequest, body: object) -> Once | None:
    """Read `Idempotency-Key` for a creation; None when it was not sent."""
    told = request.headers.getlist(FIELD)
    if not told:
        return None
    if len(told) > 1 or not _VISIBLE.fullmatch(told[0]):
        raise InvalidError([(FIELD, "must be 1 to 255 visible ASCII characters, once")])
    return Once.of(told[0], f"{request.method} {request.url.path}", body)


def read_match(request: HttpRequest) -> IfMatch:
    """Read `If-Match`: `*`, or the ETags of versions that may be changed."""
    told = ", ".join(request.headers.getlist("If-Match")).strip(" \t")
    if told in {"", "*"} and (told or "If-Match" not in request.headers):
        return ANY
    if not _TAGS.fullmatch(told):
        raise HTTPException(400, 'If-Match takes * or ETags such as "42", never weak ones.')
    tags = _TAG.findall(told)
    return IfMatch(frozenset(int(tag) for tag in tags if tag.isdecimal() and len(tag) < 19))  # noqa: PLR2004 - fits 64 bits
