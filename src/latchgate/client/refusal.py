"""A cloud's refusal as one of our errors.

Rule of this file: the status says which error it is, the code may say it better. No clock: what
depends on the time goes by the server's own `Date`. Whatever is kept of what was said is fit to be
shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from latchgate.client.errors import (
    AuthenticationFailed,
    KeyExpired,
    KeyRevoked,
    PermissionDenied,
    RateLimited,
    Refused,
)
from latchgate.client.masking import shown
from latchgate.client.message import Response
from latchgate.client.said import Said, said
from latchgate.client.secret import Secret
from latchgate.client.spelling import own_end

if TYPE_CHECKING:  # it raises what is made here
    from latchgate.client.flow import Cloud

_BY_STATUS: dict[int, type[Refused]] = {
    401: AuthenticationFailed,
    403: PermissionDenied,
    429: RateLimited,
}
# Codes that say more than their status, or whose status says something else.
_BY_CODE: dict[str, type[Refused]] = {
    # Latchgate's management API
    "credential_expired": KeyExpired,
    "credential_superseded": KeyExpired,
    "credential_revoked": KeyRevoked,
    "application_key_revoked": KeyRevoked,
    # RFC 6749 §5.2, RFC 6750 §3.1, RFC 8628 §3.5
    "invalid_client": AuthenticationFailed,
    "invalid_grant": AuthenticationFailed,
    "invalid_token": AuthenticationFailed,
    "expired_token": KeyExpired,
    "access_denied": PermissionDenied,
    "unauthorized_client": PermissionDenied,
    "insufficient_scope": PermissionDenied,
    # UpCloud
    "AUTHENTICATION_FAILED": AuthenticationFailed,
    "AUTHENTICATION_REQUIRED": AuthenticationFailed,
    "INVALID_CREDENTIALS": AuthenticationFailed,
    # Amazon S3
    "ExpiredToken": KeyExpired,
    "InvalidAccessKeyId": AuthenticationFailed,
    "InvalidToken": AuthenticationFailed,
    "SignatureDoesNotMatch": AuthenticationFailed,
    "AccessDenied": PermissionDenied,
    "SlowDown": RateLimited,
}
_CODE, _MESSAGE = 100, 500  # characters at most
_NOT_FOR_CODES = range(200, 400)


def refused(
    cloud: Cloud,
    response: Response,
    *,
    read: tuple[type[Refused], str] | None = None,
    also: Iterable[Secret] = (),
) -> Refused:
    """Return the error that an answer of 4xx or 5xx is.

    `read` is the error and its meaning where whoever asked knows better than the answer tells;
    `also` is what was sent beside the cloud's own secrets, to mask it as well.
    """
    told = said(response)
    kind, meaning = read or cloud.judged(response, told) or _kind(cloud, response, told)
    secrets = (*_secrets(cloud), *also)

    def fit(text: str | None, longest: int = _CODE) -> str | None:
        return shown(text, secrets, longest=longest) or None if text else None

    return kind(
        fit(told.message, _MESSAGE) or _phrase(response.status),
        status=response.status,
        code=fit(told.code),
        cloud=cloud.name,
        meaning=meaning,
        decision=fit(response.headers.get("x-latchgate-decision")),
        request_id=fit(told.request_id),
        scope=fit(told.scope, _MESSAGE) if issubclass(kind, PermissionDenied) else None,
        faults=[(fit(part) or "", fit(why, _MESSAGE) or "") for part, why in told.faults],
        retry_after=retry_after(response),
    )


def retry_after(response: Response) -> float | None:
    """Return the seconds of `Retry-After` (RFC 9110 §10.2.3), None where there are none to read.

    A date counts from the server's own `Date`, so that this machine's clock does not matter.
    """
    told = response.headers.get("retry-after", "").strip()
    if told.isascii() and told.isdigit():
        return float(told) if len(told) <= 9 else None  # noqa: PLR2004 - thirty years
    then, now = _moment(told), _moment(response.headers.get("date", ""))
    return max(0.0, then - now) if then is not None and now is not None else None


def _kind(cloud: Cloud, response: Response, told: Said) -> tuple[type[Refused], str | None]:
    """Return which error it is, and how this library reads it where that says more."""
    by_status = _BY_STATUS.get(response.status, Refused)
    by_code = _BY_CODE.get(told.code or "", by_status)
    fits = issubclass(by_code, by_status) or by_status is PermissionDenied
    kind = by_code if fits and response.status not in _NOT_FOR_CODES else by_status
    if issubclass(kind, AuthenticationFailed) and kind is not KeyRevoked:
        end = _over(cloud, response)
        if end is not None:
            return KeyExpired, f"the token's own time was over at {end:%Y-%m-%dT%H:%M:%SZ}"
    return kind, None


def _over(cloud: Cloud, response: Response) -> datetime | None:
    """Return when the credential ended, where it says so itself and the server's clock agrees."""
    now = _moment(response.headers.get("date", ""))
    ends = [end for one in cloud.secrets if (end := own_end(one)) is not None]
    if now is None or not ends or min(ends) > now:
        return None
    return datetime.fromtimestamp(min(ends), UTC)


def _secrets(cloud: Cloud) -> tuple[Secret, ...]:
    held = cloud.renewal.held if cloud.renewal is not None else None
    if held is None:
        return cloud.secrets
    refresh = (held.refresh,) if held.refresh is not None else ()
    return (*cloud.secrets, held.value, *refresh)


def _moment(text: str) -> float | None:
    """Read an HTTP date (RFC 9110 §5.6.7)."""
    if not text:
        return None
    # Loaded when it is needed: it takes longer than all of this package.
    from email.utils import parsedate_to_datetime  # noqa: PLC0415

    try:
        moment = parsedate_to_datetime(text[:64])
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return None


def _phrase(status: int) -> str:
    from http import HTTPStatus  # noqa: PLC0415 - as above

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "refused"
