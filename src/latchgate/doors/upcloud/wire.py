"""What comes in and goes out: JSON or XML by what was asked, errors in the provider's two shapes.

Rule of this file: no body is read past 1 MiB, none is taken that is not wholly understood, and
every answer but 204 has a body that the asker's client can parse.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.dialects.upcloud import (
    PROBLEM,
    PROBLEM_SPACE,
    PROBLEM_TYPE,
    PROBLEM_XML,
    Form,
    wanted_form,
)
from latchgate.doors.door import bounded_body
from latchgate.doors.upcloud.xml import XmlError, read_xml, write_xml
from latchgate.manage.errors import InvalidError

_log = logging.getLogger(__name__)
_JSON, _XML = "application/json", "application/xml"
_UTF8 = frozenset({"", "utf-8", "utf8"})
T = TypeVar("T")


class WireError(Exception):
    """A refusal of the door's own: a status, the provider's code, a sentence."""

    def __init__(
        self, status: int, code: str, text: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.text = text
        self.headers = headers or {}


def wanted(request: HttpRequest) -> Form | None:
    """Return the representation that a request asks for; None when there is none such."""
    return wanted_form(", ".join(request.headers.getlist("accept")))


def check_accept(request: HttpRequest) -> None:
    """Raise WireError 406 before anything is done whose answer the caller would not take."""
    if wanted(request) is None:
        told = "There is no such representation; accept application/json or application/xml."
        raise WireError(406, "NOT_ACCEPTABLE", told)


async def read_body(request: HttpRequest, shape: type[T], root: str) -> T:
    """Read a body of this shape; in XML the element `root` is it.

    InvalidError names the field; WireError 415 for another content type, 400 for what can't be
    parsed, HTTPException 413 for what is too long.
    """
    told = ", ".join(request.headers.getlist("content-type"))
    kind, _, parameters = told.partition(";")
    kind = kind.strip().lower()
    held = await bounded_body(request)
    if kind not in {_JSON, _XML} or not _in_utf8(parameters, kind):
        if held or kind:
            raise WireError(
                415, "UNSUPPORTED_MEDIA_TYPE", f"Send Content-Type: {_JSON} or {_XML}, in UTF-8."
            )
        raise WireError(400, "REQUEST_INVALID", "The request needs a body.")
    try:
        if kind == _JSON:
            return msgspec.json.decode(held, type=shape)
        found, value = read_xml(held)
        if found != root:
            raise WireError(400, "REQUEST_INVALID", f"The document's root must be <{root}>.")
        return msgspec.convert(value, shape, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(400, "REQUEST_INVALID", f"The body is not JSON: {error}") from error
    except XmlError as error:
        raise WireError(400, "REQUEST_INVALID", f"The body is not taken as XML: {error}") from error


def _in_utf8(parameters: str, kind: str) -> bool:
    """Whether the charset is one that is read; XML tells its own encoding too."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower() in _UTF8
    return bool(kind)


def invalid(message: str) -> InvalidError:
    """Turn the validator's message into the field and what is wrong with it."""
    plain, _, path = message.partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    for word in ("unknown field `", "required field `"):
        if word in plain:
            last = plain.partition(word)[2].rstrip("`")
            field = f"{field}.{last}" if field else last
    return InvalidError([(field or "body", plain)])


def answer(
    request: HttpRequest, root: str, value: object, *, status: int = 200, wrapped: bool = True
) -> Response:
    """Answer a value in the form that was asked for; `wrapped` says that JSON names the root."""
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    if wanted(request) is Form.XML:
        return Response(
            write_xml(root, value), status, headers, media_type="application/xml; charset=UTF-8"
        )
    told = {root: value} if wrapped else value
    # The newer endpoints name no charset, the older ones do; as recorded.
    kind = f"{_JSON}; charset=UTF-8" if wrapped else _JSON
    return Response(msgspec.json.encode(told), status, headers | {"Content-Type": kind})


def nothing() -> Response:
    """Answer that it is done, without a body."""
    return Response(status_code=204, headers={"Cache-Control": "no-store"})


def error_answer(
    request: HttpRequest,
    error: WireError,
    *,
    problem: str | None,
    params: list[dict[str, str]] | None = None,
) -> Response:
    """Word an error: as a problem document with the id `problem`, or in the older shape."""
    xml = wanted(request) is Form.XML
    headers = {"Cache-Control": "no-store", "Vary": "Accept", **error.headers}
    if problem is None:
        told: dict[str, Any] = {"error_code": error.code, "error_message": error.text}
        kind = f"{_XML if xml else _JSON}; charset=UTF-8"
        body = write_xml("error", told) if xml else msgspec.json.encode({"error": told})
    else:
        told = {"type": f"{PROBLEM_TYPE}{error.code}", "title": error.text, "status": error.status}
        told["correlation_id"] = problem
        if params is not None:
            told["invalid_params"] = params
        kind = PROBLEM_XML if xml else PROBLEM
        body = write_xml("problem", told, space=PROBLEM_SPACE) if xml else msgspec.json.encode(told)
    if error.status >= 500:  # noqa: PLR2004 - the server's own
        _log.error("a request to UpCloud's API failed: %s", error.code)
    return Response(body, error.status, headers | {"Content-Type": kind})
