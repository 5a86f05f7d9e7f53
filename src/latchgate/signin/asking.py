"""Requests to identity providers: bounded in size and time, and only where they may lead.

Rule of this file: an issuer that the operator named is asked wherever it is. What its documents
lead to is asked at the issuer's own origin, or else over https at an address of the Internet's, so
that no document leads into the operator's network (ATTACKS D6.56); the address that was looked at
is the one that is connected to. No redirect, proxy or password of the environment is followed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from latchgate.core.destination import Destination, read_destination
from latchgate.core.network import Networks
from latchgate.signin.jwks import FETCH_SECONDS, MAX_BYTES, FetchError
from latchgate.signin.outgoing import Resolve, UnresolvedError, authorities, judged, resolve

_NOWHERE = Networks(())
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered: a status and its body."""

    status: int
    body: bytes


def ask(
    method: str,
    address: str,
    *,
    home: str,
    headers: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    look_up: Resolve = resolve,
) -> Answer:
    """Send a request to where the issuer `home` or a document of it leads, and return the answer.

    FetchError when it may not lead there, or when the answer is too long, too late or none.
    """
    import httpx2  # noqa: PLC0415 - not in the base install

    url, more, extensions = _reached(address, home, look_up)
    sent = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "Latchgate"}
    sent |= more | dict(headers or {})
    deadline = time.monotonic() + FETCH_SECONDS
    try:
        with (
            httpx2.Client(
                verify=authorities(),
                timeout=FETCH_SECONDS,
                follow_redirects=False,
                trust_env=False,
            ) as client,
            client.stream(method, url, headers=sent, data=form, extensions=extensions) as answer,
        ):
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise FetchError("it answered compressed")
            held = bytearray()
            for chunk in answer.iter_raw():
                held += chunk
                if len(held) > MAX_BYTES:
                    raise FetchError(f"its answer is longer than {MAX_BYTES} bytes")
                if time.monotonic() > deadline:
                    raise FetchError(f"it took longer than {FETCH_SECONDS:.0f} s")
            return Answer(answer.status_code, bytes(held))
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        # Their words may hold what was sent, so only what they are is told.
        raise FetchError(type(error).__name__) from error


def fetched(address: str, *, home: str, look_up: Resolve = resolve) -> bytes:
    """Return what a GET is answered with; FetchError for anything but a plain 200."""
    answer = ask("GET", address, home=home, look_up=look_up)
    if answer.status != 200:  # noqa: PLR2004 - HTTP's own number
        raise FetchError(f"it answered {answer.status}")
    return answer.body


def origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port of a URL; ValueError when it is none."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme)


def may_lead(address: str, home: str) -> str | None:
    """Say why a document of an issuer may not lead to an address; None where it may.

    What a name leads to is looked at when it is asked.
    """
    try:
        _destination(address, home)
    except ValueError as error:
        return str(error)
    return None


def _destination(address: str, home: str) -> Destination | None:
    """Return where an address leads, None for the issuer's own origin; ValueError."""
    parts = urlsplit(address)
    if parts.username is not None or parts.password is not None or "#" in address:
        raise ValueError("takes neither a user, a password nor a fragment")
    if origin(address) == origin(home):
        return None
    return read_destination(address, _NOWHERE)


def _reached(
    address: str, home: str, look_up: Resolve
) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Return the URL to ask, and its headers and extensions; FetchError."""
    try:
        to = _destination(address, home)
    except ValueError as error:
        raise FetchError(f"the address {error}") from error
    if to is None:
        return address, {}, {}
    try:
        found = judged(to, _NOWHERE, look_up)
    except UnresolvedError as error:
        raise FetchError(str(error)) from error
    if not found:
        raise FetchError("the host has no address")
    # The name goes into SNI and is what the certificate must be for.
    return to.at(found[0]), {"Host": to.authority}, {"sni_hostname": to.host}
