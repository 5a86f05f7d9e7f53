"""What an authorization server answers a client: tokens, device codes, errors.

Rule of this file: an answer is taken whole or not at all, and nothing of it goes into a header or
onto a terminal that could do more there than be read. Source: RFC 6749 §5, RFC 8628 §3.2.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from latchgate.client.errors import ClientError, CredentialInvalid
from latchgate.client.flow import Issued
from latchgate.client.issuer import endpoint
from latchgate.client.message import Response
from latchgate.client.secret import Secret
from latchgate.client.spelling import one_word

LASTS = 300.0  # seconds that a token is taken to last where the server doesn't say (RFC 6749 §5.1)
_INTERVAL = 5.0  # seconds (RFC 8628 §3.2)


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What a person is told who shall allow it: the code, where to type it, seconds to do so.

    `link` is the address with the code in it, the one without where there is none.
    """

    user_code: str
    verification_uri: str
    link: str
    expires_in: float


@dataclass(frozen=True, slots=True)
class Begun:
    """A device authorization: the program's own code, seconds between questions, what is shown."""

    code: Secret
    interval: float
    shown: DeviceCode


def issued(response: Response, scope: str) -> Issued | None:
    """Read a Bearer token, of `scope` unless another is told; None for any other answer."""
    if response.status != 200:  # noqa: PLR2004 - RFC 6749 §5.1
        return None
    try:
        told: Any = json.loads(response.body)
        value = one_word(Secret(told["access_token"]), "OAuth2").reveal()
        bearer = told["token_type"].lower() == "bearer"
        lasts = _seconds(told.get("expires_in"), LASTS)
        refresh, granted = told.get("refresh_token"), told.get("scope", scope)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, CredentialInvalid):
        return None
    if not bearer or not isinstance(refresh, str | None) or not isinstance(granted, str):
        return None
    return Issued(value, lasts, {"scope": granted}, refresh)


def begun(response: Response) -> Begun | None:
    """Read what a device authorization began with; None for anything else."""
    if response.status != 200:  # noqa: PLR2004 - RFC 8628 §3.2
        return None
    try:
        told: Any = json.loads(response.body)
        code = one_word(Secret(told["device_code"]), "OAuth2")
        where = endpoint(_printable(told["verification_uri"]))
        link = endpoint(_printable(told.get("verification_uri_complete") or where))
        lasts = _seconds(told["expires_in"], LASTS)
        interval = _seconds(told.get("interval"), _INTERVAL)
        return Begun(code, interval, DeviceCode(_printable(told["user_code"]), where, link, lasts))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, ClientError):
        return None


def error_code(response: Response) -> str | None:
    """Return an error's code (RFC 6749 §5.2); None for what is no error."""
    if response.status == 200:  # noqa: PLR2004 - RFC 6749 §5.1
        return None
    try:
        code = json.loads(response.body)["error"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return code if isinstance(code, str) else None


def _printable(text: object) -> str:
    """Take what a terminal takes no orders from; raises ValueError for the rest."""
    if not isinstance(text, str) or not text.isprintable():
        raise ValueError
    return text


def _seconds(told: object, unless: float) -> float:
    """Read seconds, which some servers write as a text; raises ValueError, TypeError for others."""
    if told is None:
        return unless
    if isinstance(told, bool) or not isinstance(told, int | float | str):
        raise TypeError
    seconds = float(told)
    if not math.isfinite(seconds) or seconds <= 0:
        raise ValueError
    return seconds
