"""What OpenID providers say of themselves: read strictly, kept for a while, fetched anew.

Rule of this file: a document counts only when it is of the very issuer that was asked (OpenID
Connect Discovery §4.3), and no address in it is used that may not be led to. While a provider can't
be reached its last document goes on for a day; it is asked for once in a few seconds at most.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from latchgate.signin.asking import fetched, may_lead
from latchgate.signin.jwks import FetchError

WELL_KNOWN = "/.well-known/openid-configuration"
FRESH_SECONDS = 600.0
STALE_SECONDS = 86_400.0
RETRY_SECONDS = 5.0
_URL = re.compile(r"https?://[!-~]{1,2000}")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is used of a provider's document; `tells_issuer` is RFC 9207's."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    tells_issuer: bool


@dataclass(slots=True)
class _Held:
    metadata: Metadata | None = None
    read_at: float = 0.0
    failed_at: float | None = None
    why: str = ""
    fetching: threading.Lock = field(default_factory=threading.Lock, repr=False)


class Discovery:
    """The documents of one process, by issuer. Safe to use from many threads.

    `fetch` returns what is at an address that an issuer (`home`) leads to, or raises FetchError;
    `ticks` never jumps (seconds).
    """

    def __init__(
        self, *, ticks: Callable[[], float], fetch: Callable[..., bytes] = fetched
    ) -> None:
        self._ticks = ticks
        self._fetch = fetch
        self._lock = threading.Lock()
        self._held: dict[str, _Held] = {}

    def metadata(self, issuer: str) -> Metadata:
        """Return what an issuer says of itself; FetchError when that can't be had."""
        with self._lock:
            held = self._held.setdefault(issuer, _Held())
        if self._is_fresh(held) and held.metadata is not None:
            return held.metadata
        # Whoever has something to go on with doesn't wait for the one who fetches.
        if not held.fetching.acquire(blocking=held.metadata is None):
            return self._usable(held)
        try:
            if not self._is_fresh(held) and not self._failed_lately(held):
                self._renew(issuer, held)
        finally:
            held.fetching.release()
        return self._usable(held)

    def _is_fresh(self, held: _Held) -> bool:
        return held.metadata is not None and self._ticks() - held.read_at < FRESH_SECONDS

    def _failed_lately(self, held: _Held) -> bool:
        return held.failed_at is not None and self._ticks() - held.failed_at < RETRY_SECONDS

    def _usable(self, held: _Held) -> Metadata:
        if held.metadata is None or self._ticks() - held.read_at >= STALE_SECONDS:
            raise FetchError(held.why or "it was not read")
        return held.metadata

    def _renew(self, issuer: str, held: _Held) -> None:
        try:
            body = self._fetch(issuer.rstrip("/") + WELL_KNOWN, home=issuer)
            held.metadata, held.read_at = read_metadata(body, issuer), self._ticks()
            held.failed_at = None
        except (FetchError, ValueError) as error:
            held.failed_at, held.why = self._ticks(), str(error)
            _log.warning("what %s says of itself could not be read: %s", issuer, error)


def read_metadata(body: bytes, issuer: str) -> Metadata:
    """Read a provider's document (OpenID Connect Discovery §3); ValueError says what is wrong."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not JSON") from error
    if not isinstance(told, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - what the caller takes
    if told.get("issuer") != issuer:
        raise ValueError("its issuer is another one")
    if "code" not in _listed(told, "response_types_supported", ("code",)):
        raise ValueError("it does not do the code flow")
    if "S256" not in _listed(told, "code_challenge_methods_supported", ("S256",)):
        raise ValueError("it says that it does not do PKCE with S256")
    userinfo = told.get("userinfo_endpoint")
    return Metadata(
        issuer=issuer,
        authorization_endpoint=_page(told, issuer),
        token_endpoint=_asked(told, "token_endpoint", issuer),
        jwks_uri=_asked(told, "jwks_uri", issuer),
        userinfo_endpoint=_asked(told, "userinfo_endpoint", issuer) if userinfo else None,
        tells_issuer=told.get("authorization_response_iss_parameter_supported") is True,
    )


def _listed(told: Mapping[str, Any], name: str, otherwise: tuple[str, ...]) -> list[Any]:
    found = told.get(name, list(otherwise))
    if not isinstance(found, list):
        raise ValueError(f"its {name} is no list")  # noqa: TRY004 - what the caller takes
    return found


def _page(told: Mapping[str, Any], issuer: str) -> str:
    """Return where browsers are sent: over https, or in the clear where the issuer is too."""
    address = _text(told, "authorization_endpoint")
    if issuer.startswith("https://") and not address.startswith("https://"):
        raise ValueError("its authorization_endpoint does not begin with https://")
    return address


def _asked(told: Mapping[str, Any], name: str, issuer: str) -> str:
    """Return an address that this server asks itself."""
    address = _text(told, name)
    why = may_lead(address, issuer)
    if why is not None:
        raise ValueError(f"its {name} {why}")
    return address


def _text(told: Mapping[str, Any], name: str) -> str:
    address = told.get(name)
    if not isinstance(address, str) or not _URL.fullmatch(address) or "#" in address:
        raise ValueError(f"it has no {name} that is an absolute URL")
    return address
