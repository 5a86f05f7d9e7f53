"""A verifier, and whom it believes: what every integration decides through.

Rule of this file: whatever goes wrong is a refusal, and what a peer forwards of others counts only
when the peer was named.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
import weakref
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import unquote

from latchgate.core.network import Networks, parse_address, right_most_untrusted

if TYPE_CHECKING:
    from latchgate.verifier import Verdict, Verifier

CONFIG = ".latchgate/latchgate.toml"
UNIX = "unix"
_THREADS = 4
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as its server told it, `target` being the raw path and query.

    `peer` is the address of the connection, empty or None for a unix socket. `doubt` says why
    something else than `target` might be served.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    peer: str | None
    tls: bool
    doubt: str | None = None

    def values(self, name: str) -> list[str]:
        """Return the values of a header by its lower-case name, in the order they came."""
        return [value for key, value in self.headers if key.lower() == name]


def doubt(raw: str, *, prefix: str, path: str) -> str | None:
    """Say why what a framework serves (`path`, mounted at `prefix`) may not be the `raw` path.

    Something between the server and here may have rewritten one of the two (ATTACKS D2.18).
    """
    read = unquote(raw, errors="replace")
    if read in {path, prefix + path} or (path == "/" and read == prefix):
        return None
    return "the path that arrived and the path that would be served differ"


class Guard:
    """Decides what a framework's server was asked.

    Gives a `verifier`, or opens one over `config` when first needed. `trusted_proxies` are the
    addresses and networks of gateways whose `X-Forwarded-For` and `X-Forwarded-Proto` are
    believed; `unix` stands for every peer on a unix socket. ValueError names a wrong one.
    """

    def __init__(
        self,
        verifier: Verifier | None = None,
        *,
        config: str | os.PathLike[str] = CONFIG,
        trusted_proxies: Iterable[str] = (),
    ) -> None:
        given: object = verifier
        if isinstance(given, (str, os.PathLike)):
            msg = f"verifier: give config={os.fspath(given)!r} for the path of a configuration"
            raise ValueError(msg)  # noqa: TRY004 - one error for whatever is wrong
        if isinstance(trusted_proxies, str):
            msg = f"trusted_proxies: give a list such as [{trusted_proxies!r}], not a text"
            raise ValueError(msg)  # noqa: TRY004 - one error for whatever is wrong
        named = list(trusted_proxies)
        self._trusts_unix = UNIX in named
        self._proxies = Networks.of(one for one in named if one != UNIX)
        self._given = verifier
        self._config = config
        self._opened: dict[str, Verifier] = {}
        self._pool: tuple[int, ThreadPoolExecutor] | None = None
        self._told = float("-inf")

    def open(self) -> Verifier:
        """Return the verifier; ConfigError or StoreError when it can't be opened."""
        verifier = self._given or self._opened.get("verifier")
        if verifier is not None:
            return verifier
        from latchgate.verifier import Verifier  # noqa: PLC0415 - a settings file stays quick

        made = Verifier(self._config)
        # No lock, which a fork could leave held for ever: who comes second closes its own.
        kept = self._opened.setdefault("verifier", made)
        if kept is made:
            weakref.finalize(self, made.close)  # writes what was counted, at exit too
        else:
            made.close()
        return kept

    def close(self) -> None:
        """Close the verifier that was opened here; one that was given stays open."""
        opened = self._opened.pop("verifier", None)
        if opened is not None:
            opened.close()

    def decide(self, asked: Asked, *, scope: str | None = None) -> Verdict:
        """Decide a request and never raise: a fault is a refusal with status 503.

        `scope` is needed instead of the one that the policy names there.
        """
        try:
            client, tls = self._origin(asked)
            return self.open().decide(
                asked.method,
                asked.target,
                asked.headers,
                client=client,
                tls=tls,
                scope=scope,
                doubt=asked.doubt,
            )
        except Exception:  # noqa: BLE001 - whatever fails is a refusal
            self._tell()
            from latchgate.verifier import Verdict  # noqa: PLC0415 - as above

            return Verdict.unavailable()

    async def decide_async(self, asked: Asked, *, scope: str | None = None) -> Verdict:
        """Decide a request on the event loop, or in a thread where that could hold it up.

        Measured: 19 µs from memory, 0.1 ms (at most 2.6 ms of 3,000) when the records have to be
        read, and 0.1 ms for the way to a thread and back alone. A password's hash is slow by
        design, so whatever may carry one goes to a thread; so does all, while a policy has shadows.
        """
        quick = all(value[:7].lower() == "bearer " for value in asked.values("authorization"))
        if quick and not self._asks_others():
            return self.decide(asked, scope=scope)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads(), partial(self.decide, asked, scope=scope))

    def _asks_others(self) -> bool:
        verifier = self._given or self._opened.get("verifier")
        try:
            return verifier is not None and verifier.asks_others
        except Exception:  # noqa: BLE001 - `decide` meets the same fault, and refuses
            return False

    def _threads(self) -> ThreadPoolExecutor:
        """Return a pool of this process, apart from the framework's: a flood fills only ours."""
        process = os.getpid()
        if self._pool is None or self._pool[0] != process:
            self._pool = process, ThreadPoolExecutor(_THREADS, "latchgate-decide")
        return self._pool[1]

    def _origin(self, asked: Asked) -> tuple[str | None, bool]:
        """Return the client's address and whether it came by TLS."""
        hops = asked.values("x-forwarded-for")
        if not self._trusts(asked.peer) or not hops:
            # A unix socket has no TLS: gunicorn takes the scheme there from whoever names one.
            return asked.peer or None, asked.tls and bool(asked.peer)
        # What a gateway doesn't say was not TLS: its own connection to us says nothing of it.
        schemes = ",".join(asked.values("x-forwarded-proto")).split(",")
        tls = all(one.strip().lower() == "https" for one in schemes)
        try:
            return str(right_most_untrusted(hops, self._proxies)), tls
        except ValueError:
            return ", ".join(hops) or "-", tls  # no address: the verdict says so

    def _trusts(self, peer: str | None) -> bool:
        if not peer:
            return self._trusts_unix
        try:
            return parse_address(peer) in self._proxies
        except ValueError:
            return False

    def _tell(self) -> None:
        """Log the exception under way, once a second at most: an outage must not fill a disk."""
        now = time.monotonic()
        if now - self._told >= 1.0:
            self._told = now
            _log.exception("a request could not be decided")
