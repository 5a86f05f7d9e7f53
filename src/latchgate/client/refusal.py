"""A cloud's refusal as one of our errors, in whichever of its shapes it comes.

Rule of this file: what a server says may hold what was sent to it; every secret of the cloud's is
masked in it, and control characters are shown as such.
"""

from __future__ import annotations

import json
from typing import Any

from latchgate.client.errors import AuthenticationFailed, PermissionDenied, RateLimited, Refused
from latchgate.client.flow import Cloud
from latchgate.client.message import Response
from latchgate.client.secret import MASK

_KINDS: dict[int, type[Refused]] = {
    401: AuthenticationFailed,
    403: PermissionDenied,
    429: RateLimited,
}
_LONGEST = 500  # characters of a message


def refused(cloud: Cloud, response: Response) -> Refused:
    """Return the error that a response of 4xx or 5xx is."""
    code, message = _told(response)
    kind = _KINDS.get(response.status, Refused)
    return kind(
        _shown(cloud, message or "refused"),
        status=response.status,
        code=_shown(cloud, code) if code else None,
        cloud=cloud.name,
        decision=response.headers.get("x-latchgate-decision"),
    )


def _told(response: Response) -> tuple[str | None, str | None]:
    try:
        told: Any = json.loads(response.body)
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(told, dict):
        return None, None
    error = told.get("error")
    if isinstance(error, dict):
        code = error.get("error_code") or error.get("title") or error.get("code")
        message = error.get("error_message") or error.get("message")
        return _text(code), _text(message)
    if isinstance(error, str) and "code" not in told:
        return error, _text(told.get("error_description"))  # RFC 6749 §5.2
    if isinstance(error, str):
        return _text(told.get("code")), error
    if isinstance(told.get("result"), int):
        return str(told["result"]), _text(told.get("message"))
    return _text(told.get("code") or told.get("title")), _text(told.get("detail"))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _shown(cloud: Cloud, text: str) -> str:
    for one in cloud.secrets:
        if one.reveal():
            text = text.replace(one.reveal(), MASK)
    kept = "".join(char if char.isprintable() else " " for char in text)
    return kept if len(kept) <= _LONGEST else f"{kept[:_LONGEST]}{MASK}"
