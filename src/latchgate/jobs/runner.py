"""Runs the jobs in one worker at a time: whoever holds the lock file beside the database.

Rule of this file: a job that fails is logged and tried again; it never ends the others, nor the
worker. The kernel lets go of the lock when its process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from latchgate.jobs.job import Job, Work

LOOK_SECONDS = 0.5
_log = logging.getLogger(__name__)


class Runner:
    """A thread that runs jobs while this process holds the lock; `ticks` never jumps (seconds)."""

    def __init__(
        self, jobs: Iterable[Job], work: Work, lock: Path, *, ticks: Callable[[], float]
    ) -> None:
        self._work = work
        self._lock = lock
        self._ticks = ticks
        self._due = [(job, ticks()) for job in jobs]
        self._held: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run_on, name="jobs", daemon=True)

    @staticmethod
    def beside(database: Path) -> Path:
        """Return the lock file of a database."""
        return database.with_name(f"{database.name}.jobs")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def step(self) -> bool:
        """Run what is due; False where another process runs the jobs."""
        if not self._take():
            return False
        now = self._ticks()
        for index, (job, due) in enumerate(self._due):
            if now < due or self._stop.is_set():
                continue
            self._due[index] = (job, now + job.seconds)
            try:
                job.run(self._work)
            except Exception:  # noqa: BLE001 - it is tried again, and the others go on
                _log.exception("the job %s failed", job.name)
        return True

    def _take(self) -> bool:
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

    def _run_on(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            try:
                self.step()
            except OSError:
                _log.exception("the lock %s could not be taken", self._lock)

    def close(self) -> None:
        """Stop after the job under way, and let another process go on."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._held is not None:
            os.close(self._held)
            self._held = None
