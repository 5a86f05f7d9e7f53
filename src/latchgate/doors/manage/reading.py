"""What comes in: bodies, queries and described requests, read strictly.

Rule of this file: whatever can't be taken is an InvalidError naming the field, or an HTTPException
when it is not even the right sort of message.
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest

from latchgate.core.model import Request
from latchgate.core.network import parse_address
from latchgate.doors.manage import shapes
from latchgate.manage import keys
from latchgate.manage.errors import InvalidError

MAX_BODY = 1_048_576
_ABSOLUTE = re.compile(r"(?P<scheme>(?i:https?))://(?P<authority>[^/?#]*)(?P<target>.*)", re.DOTALL)
_WHOLE = re.compile(r"[0-9]{1,6}")
T = TypeVar("T")


async def read_body(request: HttpRequest, shape: type[T]) -> T:
    """Read a bounded JSON body strictly; what is wrong with it is an error naming the field."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "Send Content-Type: application/json.")
    held = bytearray()
    async for chunk in request.stream():
        held += chunk
        if len(held) > MAX_BODY:
            raise HTTPException(413, f"The body is longer than {MAX_BODY} bytes.")
    try:
        return msgspec.json.decode(held, type=shape)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        raise InvalidError([(path.rstrip("`") or "body", message)]) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(400, f"The body is not JSON: {error}") from error


def read_page(items: list[tuple[str, str]]) -> tuple[int, str | None]:
    """Read `limit` (1 to 1000, 100 unless told) and `after`."""
    told = dict(items)
    if len(told) < len(items):
        raise InvalidError([("query", "a parameter is given twice")])
    unknown = sorted(set(told) - {"limit", "after"})
    if unknown:
        raise InvalidError([(unknown[0], "there is no such parameter; use limit and after")])
    limit = told.get("limit", "100")
    if not _WHOLE.fullmatch(limit) or not 1 <= int(limit) <= keys.MAX_PAGE:
        raise InvalidError([("limit", f"must be a whole number from 1 to {keys.MAX_PAGE}")])
    return int(limit), told.get("after")


def read_described(asked: shapes.ExplainRequest) -> Request:
    """Turn a URL and headers into the request that a gateway would tell of."""
    # Split by hand: the path must stay as it was written, and a library would mend it.
    scheme, authority, target = "", "", asked.url
    found = _ABSOLUTE.fullmatch(asked.url)
    if found is not None:
        scheme, authority = found["scheme"].lower(), found["authority"].rpartition("@")[2]
        target = found["target"] if found["target"].startswith("/") else f"/{found['target']}"
    headers = {name.lower(): value for name, value in asked.headers.items()}
    if len(headers) < len(asked.headers):
        raise InvalidError([("headers", "a header is given twice")])
    client = None
    if asked.client is not None:
        try:
            client = parse_address(asked.client)
        except ValueError as error:
            raise InvalidError([("client", str(error))]) from error
    return Request(
        method=asked.method,
        host=headers.get("host", authority),
        target=target,
        headers=headers,
        client=client,
        tls=scheme == "https",
    )
