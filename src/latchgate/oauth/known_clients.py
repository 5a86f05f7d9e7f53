"""Clients that proved themselves, remembered while nothing changes.

Rule of this file: what is remembered was read at one journal number and is forgotten at the next,
so that a revoked secret or a suspended client is refused as soon as every other credential is.
"""

from __future__ import annotations

import threading

from latchgate.core.kinds.client_secret import secret_digest
from latchgate.oauth.clients import Proven, proven
from latchgate.oauth.server import AuthorizationServer
from latchgate.verify.cache import Moment

MAX_CLIENTS = 10_000
_Key = tuple[str, bytes]


class KnownClients:
    """Memory of clients by id and secret; safe to use from many threads."""

    def __init__(self, server: AuthorizationServer) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._moment: Moment = (0, -1)
        self._proven: dict[_Key, Proven] = {}

    def recall(self, client_id: str, secret: str | None) -> Proven | None:
        """Return a client that proved itself so before, and nothing changed; StoreError."""
        moment = self._server.moment()
        with self._lock:
            if moment != self._moment:
                return None
            known = self._proven.get(_key(client_id, secret))
        if known is None or (known.until is not None and self._server.clock() >= known.until):
            return None
        return known

    def authenticated(self, client_id: str, secret: str | None) -> Proven:
        """Return a client, read from the store, and remember it; see `clients.proven`."""
        # Taken before the store is read: what is read is at least as new.
        moment = self._server.moment()
        known = proven(self._server.store, client_id, secret, now=self._server.clock())
        with self._lock:
            if moment > self._moment:
                self._proven.clear()
                self._moment = moment
            if moment == self._moment:
                while len(self._proven) >= MAX_CLIENTS:
                    del self._proven[next(iter(self._proven))]
                self._proven[_key(client_id, secret)] = known
        return known


def _key(client_id: str, secret: str | None) -> _Key:
    return client_id, b"" if secret is None else secret_digest(secret)
