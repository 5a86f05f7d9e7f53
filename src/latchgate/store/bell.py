"""The bell: a sequence in shared memory that every cache on this machine looks at.

A file of 8-byte words beside the database, mapped by every process. Word 1 counts the rings;
then come slots, one for each live cache, in which it says how far it has followed the journal.
Ringing is the last thing a change does before it is answered, so a cache that reads the bell
after a request arrived and finds nothing new is exact (ARCHITECTURE §6). It counts rings rather
than holding journal numbers: two writers that ring out of order can't hide one change behind
another, and a database restored to an earlier number still rings.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from latchgate.store.errors import StoreError

_MAGIC = 0x4C41544348420001
_HEADER_WORDS = 8
_SLOTS = 256
_SLOT_WORDS = 4  # incarnation (0: free), process id, acknowledged number, process start
_SIZE = 8 * (_HEADER_WORDS + _SLOTS * _SLOT_WORDS)
RINGS = 1


@dataclass(frozen=True, slots=True)
class Listener:
    """One live cache: its random incarnation, its process, and how far it has followed.

    `started` is when the process began, as the system counts it: process ids come round again.
    """

    incarnation: int
    process_id: int
    acknowledged: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether its process still exists."""
        try:
            os.kill(self.process_id, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return self.started == _started(self.process_id)


def _started(process_id: int) -> int:
    """Return a process's start in clock ticks since boot; 0 where the system doesn't tell."""
    try:
        told = Path(f"/proc/{process_id}/stat").read_bytes()
    except OSError:
        return 0
    # The second field is the program's name in brackets and may hold anything; start is field 22.
    return int(told.rpartition(b")")[2].split()[19])


class BellFullError(StoreError):
    """Every slot of the bell is taken by a live process."""


class Bell:
    """The mapped file; cheap to read on every request."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with self._locked(descriptor):
            if os.fstat(descriptor).st_size < _SIZE:
                os.ftruncate(descriptor, _SIZE)
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, _SIZE)
        # Aligned 8-byte words: a store is one instruction, so no reader sees half a number.
        self.words = memoryview(self._map).cast("Q")
        self._thread_lock = threading.Lock()
        with self._exclusive():
            if self.words[0] != _MAGIC:
                self.words[0] = _MAGIC

    @classmethod
    def beside(cls, database: Path) -> Bell:
        """Open the bell of a database file, creating it when it is the first."""
        return cls(database.with_name(database.name + "-bell"))

    def rings(self) -> int:
        """Return how often the bell has rung; any other answer than last time means: follow."""
        return self.words[RINGS]

    def ring(self) -> None:
        """Announce that something was committed."""
        with self._exclusive():
            self.words[RINGS] += 1

    def join(self, incarnation: int, acknowledged: int) -> int:
        """Take a slot for a new cache and return it; slots of dead processes are taken over."""
        with self._exclusive():
            for slot in range(_SLOTS):
                at = self._at(slot)
                if self.words[at] == 0 or not self._listener(slot).alive:
                    self.words[at + 1] = os.getpid()
                    self.words[at + 2] = acknowledged
                    self.words[at + 3] = _started(os.getpid())
                    self.words[at] = incarnation
                    return slot
        msg = f"{_SLOTS} caches already follow this database"
        raise BellFullError(msg)

    def acknowledge(self, slot: int, number: int) -> None:
        """Say that everything up to `number` was dropped from the cache in `slot`."""
        self.words[self._at(slot) + 2] = number

    def leave(self, slot: int, incarnation: int) -> None:
        """Give the slot back, if it is still this cache's."""
        with self._exclusive():
            if self.words[self._at(slot)] == incarnation:
                self.words[self._at(slot)] = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep caches from joining meanwhile, and ring at the end: whoever waited looks anew."""
        with self._exclusive():
            try:
                yield
            finally:
                self.words[RINGS] += 1

    def listeners(self) -> list[Listener]:
        """Return every taken slot's cache, dead processes left out."""
        taken = [self._listener(slot) for slot in range(_SLOTS) if self.words[self._at(slot)]]
        return [listener for listener in taken if listener.alive]

    def close(self) -> None:
        """Unmap the file; the bell must not be used afterwards."""
        self.words.release()
        self._map.close()
        os.close(self._descriptor)

    def _listener(self, slot: int) -> Listener:
        at = self._at(slot)
        return Listener(*self.words[at : at + _SLOT_WORDS])

    @staticmethod
    def _at(slot: int) -> int:
        return _HEADER_WORDS + slot * _SLOT_WORDS

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        # The file lock belongs to the open file, which threads share; they need one of their own.
        with self._thread_lock, self._locked(self._descriptor):
            yield

    @staticmethod
    @contextmanager
    def _locked(descriptor: int) -> Iterator[None]:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
