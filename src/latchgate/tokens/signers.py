"""The opened key that signs tokens now: opened once, and again after it was replaced."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from latchgate.keyring.master import MasterKey
from latchgate.keyring.signing import SealedKey


class Opened(Protocol):
    """An opened signing key: whatever it signs, it has the id of the sealed one."""

    id: str


_Opened = TypeVar("_Opened", bound=Opened)


class Signers(Generic[_Opened]):
    """Holds one opened signing key. Safe to use from many threads.

    `current` reads the sealed key that signs now, `load` the master key, with which `unseal` opens
    it; `position` is the journal number that is known: nothing can have replaced the key while it
    stays.
    """

    def __init__(
        self,
        *,
        current: Callable[[], SealedKey],
        load: Callable[[], MasterKey],
        unseal: Callable[[SealedKey, MasterKey], _Opened],
        position: Callable[[], int],
    ) -> None:
        self._current = current
        self._load = load
        self._unseal = unseal
        self._position = position
        self._lock = threading.Lock()
        self._held: tuple[int, _Opened] | None = None

    def ready(self) -> _Opened | None:
        """Return the key that signs now if that is known without reading anything."""
        held = self._held
        return held[1] if held is not None and held[0] == self._position() else None

    def signer(self) -> _Opened:
        """Return the key that signs now; KeyringError where there is none or it can't be opened."""
        known = self.ready()
        if known is not None:
            return known
        position = self._position()
        with self._lock:
            sealed = self._current()
            held = self._held
            signer = held[1] if held is not None and held[1].id == sealed.id else None
            if signer is None:
                signer = self._unseal(sealed, self._load())
            self._held = position, signer
            return signer
