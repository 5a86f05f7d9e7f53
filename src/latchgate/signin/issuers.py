"""Issuers that tenants trust: where their keys are, and the keys themselves.

Rule of this file: an issuer is its URL to the letter, and says itself where its keys are; of what a
statement says nothing leads anywhere. Source: OpenID Connect Discovery 1.0 §3 and §4.3; RFC 8414
§3.3 for the comparison.
"""

from __future__ import annotations

import asyncio
import json
from asyncio import wrap_future
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING

from latchgate.core.destination import read_destination
from latchgate.core.network import Networks
from latchgate.signin.jwks import FetchError, KeySets
from latchgate.signin.outgoing import Resolve, fetcher, resolve

if TYPE_CHECKING:
    from latchgate.signin.jose import PublicKey

# As tenants name the addresses: a few that answer slowly must not hold up those of others.
THREADS = 16
WAIT_SECONDS = 12.0
_DOCUMENT = "/.well-known/openid-configuration"


class Issuers:
    """The issuers that one process has to do with; `allowed` are networks of the operator's own.

    `ticks` never jumps (seconds). Safe to use from many threads.
    """

    def __init__(
        self, *, allowed: Networks, ticks: Callable[[], float], look_up: Resolve = resolve
    ) -> None:
        self._allowed = allowed
        self._fetch = fetcher(allowed, look_up)
        self._sets = KeySets(fetch=self._fetch, ticks=ticks, threads=THREADS)

    def address_fault(self, url: str) -> str | None:
        """Say why a URL can be neither an issuer nor where keys are."""
        try:
            read_destination(url, self._allowed)
        except ValueError as error:
            return str(error)
        return None

    def discover(self, issuer: str) -> str:
        """Return where an issuer says that its keys are; FetchError says why it is not known.

        It is asked once, when a workload is told of: what it says later moves no trust.
        """
        told = self._fetch(issuer.removesuffix("/") + _DOCUMENT)
        try:
            document = json.loads(told)
        except (ValueError, RecursionError) as error:
            raise FetchError("its configuration is not JSON") from error
        if not isinstance(document, dict) or document.get("issuer") != issuer:
            raise FetchError("its configuration is of another issuer than the one that was asked")
        address = document.get("jwks_uri")
        fault = self.address_fault(address) if isinstance(address, str) else "there is none"
        if not isinstance(address, str) or fault is not None:
            raise FetchError(f"the jwks_uri of its configuration can't be used: {fault}")
        return address

    async def keys(self, address: str, key_id: str | None) -> tuple[PublicKey, ...] | None:
        """Return the keys at an address; None when they can't be had just now, or not in time."""
        found = self._sets.find(address, key_id)
        if isinstance(found, Future):
            # Shielded: whoever gives up waiting must not end it for others.
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(wrap_future(found)), WAIT_SECONDS)
            found = self._sets.held(address)
        return found

    def close(self) -> None:
        """Let go of the threads."""
        self._sets.close()
