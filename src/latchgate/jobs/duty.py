"""Whose turn it is to run jobs: one worker's on this machine, or one's of all nodes.

Rule of this file: a worker that may have lost its turn runs nothing more, before another may begin.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from latchgate.store import duty
from latchgate.store.duty import JOBS, NOBODY, Held
from latchgate.store.errors import ConflictError, StoreError
from latchgate.store.journal import Store

BEAT_SECONDS = 3.0
# A holder stops after so long without a word from the database; others begin after so long without
# one from it. Clocks whose rates are 1.25 apart still keep that order.
STOP_SECONDS = 10.0
FREE_SECONDS = 15.0
_log = logging.getLogger(__name__)


class Duty(Protocol):
    """Whether this process may run jobs now."""

    def start(self) -> None:
        """Begin whatever keeps it."""

    def mine(self) -> bool:
        """Tell whether it may, having tried to take the duty."""

    def close(self) -> None:
        """Let another process take it."""


class FileDuty:
    """The duty of whoever has a file locked: one process of this machine.

    The kernel lets go of the lock when its process ends, however it ends.
    """

    def __init__(self, lock: Path) -> None:
        self._lock = lock
        self._held: int | None = None

    @classmethod
    def beside(cls, file: Path) -> FileDuty:
        """Return the duty whose lock is beside a database, or beside a configuration."""
        return cls(file.with_name(f"{file.name}.jobs"))

    def start(self) -> None:
        """Do nothing: the kernel keeps a lock."""

    def mine(self) -> bool:
        """Take the lock unless it is held; OSError when there can be none."""
        if self._held is not None:
            return True
        opened = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(opened)
            return False
        except OSError:
            os.close(opened)
            raise
        self._held = opened
        return True

    def close(self) -> None:
        """Let go of the lock."""
        if self._held is not None:
            os.close(self._held)
            self._held = None


class TableDuty:
    """The duty of whoever writes its row: one process of all that share a database.

    `holder` names this process and no other ever; `ticks` never jumps (seconds). A thread of its
    own writes the row: a job that takes long must not lose the duty.
    """

    def __init__(self, store: Store, holder: str, *, ticks: Callable[[], float]) -> None:
        self._store = store
        self._holder = holder
        self._ticks = ticks
        self._seen: Held | None = None
        self._moved = ticks()  # since when the row is as seen
        self._until: float | None = None  # for how long it is this process's; None: it is not
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run_on, name="duty", daemon=True)

    def start(self) -> None:
        """Begin to try for it."""
        self._thread.start()

    def mine(self) -> bool:
        """Tell whether it is held, by the clock alone."""
        until = self._until
        return until is not None and self._ticks() < until

    def beat(self) -> None:
        """Renew the duty, or take it where nobody writes it any more."""
        begun = self._ticks()
        try:
            held = self._renewed() if self._until is not None else self._taken(begun)
        except (StoreError, ConflictError) as error:
            _log.warning("who runs the jobs could not be written or read: %s", error)
            return
        # Counted from before it was written: others count from after.
        self._until = begun + STOP_SECONDS if held else None

    def _renewed(self) -> bool:
        if duty.renew_duty(self._store, JOBS, self._holder):
            return True
        _log.warning("another process runs the jobs now")
        self._seen, self._moved = None, self._ticks()
        return False

    def _taken(self, now: float) -> bool:
        found = duty.read_duty(self._store, JOBS)
        if found is not None and found.holder == self._holder:
            return duty.renew_duty(self._store, JOBS, self._holder)
        if found is not None and found.holder != NOBODY:
            if found != self._seen:
                self._seen, self._moved = found, self._ticks()
                return False
            if now - self._moved < FREE_SECONDS:
                return False
        return duty.take_duty(self._store, JOBS, self._holder, found)

    def _run_on(self) -> None:
        while True:
            self.beat()
            if self._stop.wait(BEAT_SECONDS):
                return

    def close(self) -> None:
        """Let go of it at once, for others."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._until is None:
            return
        self._until = None
        try:
            duty.leave_duty(self._store, JOBS, self._holder)
        except StoreError as error:
            _log.warning("the jobs could not be handed over, and rest a while: %s", error)
