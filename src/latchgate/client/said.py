"""What a refusal says of itself, in whichever shape its server has.

Rule of this file: a shape is known by its members, never by the media type, which servers get
wrong. Nothing raises; what can't be read says nothing. Nothing is masked here (`masking.py`).
Sources: providers/wayscloud, "Authentication Errors"; providers/upcloud, "Error response";
providers/kakaocloud and Keystone v3; RFC 9457; RFC 6749 §5.2; RFC 6750 §3; Amazon S3's errors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from latchgate.client.challenge import challenges
from latchgate.client.markup import members
from latchgate.client.message import Response

_LARGEST = 256 * 1024  # bytes of a body that are read as JSON
_TEXT = 16 * 1024  # bytes of one that are read as text
_MOST = 20  # faults of one answer
_TITLE = re.compile(r"<title[^<>]{0,100}>([^<]{1,500})<", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_REQUEST_IDS = ("x-openstack-request-id", "x-request-id", "x-amz-request-id")

Faults = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Said:
    """A server's own words: its code, its message, the parts at fault, what its support asks for.

    `scope` is what the request takes, where a Bearer challenge says so.
    """

    code: str | None = None
    message: str | None = None
    faults: Faults = ()
    request_id: str | None = None
    scope: str | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing was said."""
        return self.code is None and self.message is None


def said(response: Response) -> Said:
    """Return what an answer says, from its body and its headers."""
    body = _body(response)
    challenge = _challenge(response.headers.get("www-authenticate", ""))
    ids = (response.headers.get(name) for name in _REQUEST_IDS)
    # TeraCLOUD's result is often the status over again.
    repeated = body.code == f"result {response.status}"
    return Said(
        code=challenge.code if repeated else body.code or challenge.code,
        message=body.message or challenge.message,
        faults=body.faults,
        request_id=body.request_id or next(filter(None, ids), None),
        scope=challenge.scope,
    )


def notices(response: Response) -> dict[str, str]:
    """Return when what was used is deprecated and ends (RFC 9745, RFC 8594), where that is said.

    Latchgate says it of a secret that was rotated; others may say it of the address that was asked.
    """
    names = ("deprecation", "sunset")
    return {name: response.headers[name] for name in names if response.headers.get(name)}


def _body(response: Response) -> Said:
    raw = response.body.removeprefix(b"\xef\xbb\xbf").strip()
    if not raw:
        return Said()
    if raw[:1] in b'{["':
        read = _json(raw)
        if read is not None:
            return read
    if raw[:1] == b"<":
        told = members(raw)
        read = _xml(told) if told is not None else Said()
        return _page(raw) if read.empty else read
    return _plain(raw, response.headers.get("content-type", ""))


def _json(raw: bytes) -> Said | None:
    if len(raw) > _LARGEST:
        return None
    try:
        told: Any = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if isinstance(told, list) and told:
        told = told[0]
    if isinstance(told, str):
        return Said(message=_text(told))
    return _members(told) if isinstance(told, dict) else Said()


def _xml(told: dict[str, Any]) -> Said:
    (root, inside), *_ = told.items()
    if not isinstance(inside, dict):
        return Said()
    if root == "ErrorResponse" and isinstance(inside.get("Error"), dict):
        inside = {**inside["Error"], "RequestId": inside.get("RequestId")}
    if "Code" in inside:  # Amazon S3's
        return Said(
            code=_text(inside["Code"]),
            message=_text(inside.get("Message")),
            request_id=_text(inside.get("RequestId")),
        )
    return _members(told if root == "error" else inside)


def _page(raw: bytes) -> Said:
    """Read a page for people, such as a proxy's: it has its title to tell."""
    from html import unescape  # noqa: PLC0415 - few answers are pages

    title = _TITLE.search(raw[:_TEXT].decode("utf-8", "replace"))
    return Said(message=_text(unescape(title[1]))) if title is not None else Said()


def _plain(raw: bytes, kind: str) -> Said:
    if b"\0" in raw[:_TEXT] or (kind and not kind.lower().startswith("text/")):
        return Said()
    return Said(message=_text(raw[:_TEXT].decode("utf-8", "replace")))


def _members(told: dict[str, Any]) -> Said:
    for shape in _SHAPES:
        found = shape(told)
        if found is not None:
            return found
    return Said()


def _error_object(told: dict[str, Any]) -> Said | None:
    """UpCloud's `error_code`; Keystone's `title` beside a number; WAYSCloud's `code`."""
    error = told.get("error")
    if not isinstance(error, dict):
        return None
    names = ("error_code", "title", "code", "type")
    return Said(
        code=next(filter(None, (_text(error.get(name)) for name in names)), None),
        message=_text(error.get("error_message")) or _text(error.get("message")),
        faults=_faults(error.get("details")),
    )


def _error_text(told: dict[str, Any]) -> Said | None:
    """WAYSCloud's sentence with a `code` beside it; OAuth2's code with its description."""
    error = _text(told.get("error"))
    if error is None:
        return None
    code, described = _text(told.get("code")), _text(told.get("error_description"))
    if described is not None or (code is None and _WORD.fullmatch(error)):
        return Said(code=error, message=described or _text(told.get("message")))
    return Said(code=code, message=error, faults=_faults(told.get("details")))


def _problem(told: dict[str, Any]) -> Said | None:
    """Problem documents, UpCloud's whose `type` ends in the code, and Latchgate's with `code`."""
    kind = _text(told.get("type"))
    if kind is None or not ({"title", "status", "correlation_id", "detail"} & told.keys()):
        return None
    _, mark, fragment = kind.partition("#")
    named = fragment.removeprefix("ERROR_") if mark else kind
    code = _text(told.get("code")) or (named if _WORD.fullmatch(named) else None)
    return Said(
        code=code,
        message=_text(told.get("detail")) or _text(told.get("title")),
        faults=_faults(told.get("invalid_params")) or _faults(told.get("errors")),
        request_id=_text(told.get("correlation_id")),
    )


def _detail(told: dict[str, Any]) -> Said | None:
    """WAYSCloud's `detail`: a sentence, an object with `error`, or a list of faults."""
    detail = told.get("detail")
    if isinstance(detail, str) and detail.strip():
        return Said(code=_text(told.get("code")), message=_text(detail))
    if isinstance(detail, dict):
        inside = {name: value for name, value in detail.items() if name != "detail"}
        return _members(inside)
    if isinstance(detail, list):
        return Said(code=_text(told.get("code")), faults=_faults(detail))
    return None


def _message(told: dict[str, Any]) -> Said | None:
    """TeraCLOUD's `result` with a message, and whoever has a `message` at all."""
    result, message = told.get("result"), _text(told.get("message"))
    code = _text(told.get("code"))
    if code is None and isinstance(result, int) and not isinstance(result, bool):
        code = f"result {result}"
    return Said(code=code, message=message) if code or message else None


_SHAPES: tuple[Callable[[dict[str, Any]], Said | None], ...] = (
    _error_object,
    _error_text,
    _problem,
    _detail,
    _message,
)


def _faults(value: object) -> Faults:
    return tuple(one for one, _ in zip(_each_fault(value), range(_MOST), strict=False))


def _each_fault(value: object) -> Iterator[tuple[str, str]]:
    """Read `invalid_params`, `errors`, `details`, and lists of `{loc, msg}`."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str) and one.strip():
            yield "", one
        if not isinstance(one, dict):
            continue
        part = one.get("name") or one.get("field") or one.get("loc")
        if isinstance(part, list):
            steps = (step for step in part[:_MOST] if isinstance(step, str | int))
            part = ".".join(map(str, steps))
        names = ("reason", "detail", "msg", "message", "expected")
        why = next(filter(None, (_text(one.get(name)) for name in names)), None)
        if why is not None:
            expected = "expected " if why == one.get("expected") else ""
            yield _text(part) or "", f"{expected}{why}"


def _challenge(header: str) -> Said:
    """Read a Bearer challenge (RFC 6750 §3)."""
    for one in challenges(header):
        if one.scheme == "bearer":
            told = one.parameters
            return Said(
                code=_text(told.get("error")),
                message=_text(told.get("error_description")),
                scope=_text(told.get("scope")),
            )
    return Said()


def _text(value: object) -> str | None:
    return value.strip() or None if isinstance(value, str) else None
