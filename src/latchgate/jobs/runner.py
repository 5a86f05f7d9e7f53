"""Runs the jobs, in one worker at a time: whose turn it is, `duty.py` says.

Rule of this file: a job that fails is logged and tried again; it never ends the others, nor the
worker.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from latchgate.jobs.duty import Duty
from latchgate.jobs.job import Job, Work

LOOK_SECONDS = 0.5
_log = logging.getLogger(__name__)


class Runner:
    """A thread that runs jobs while this process has the duty; `ticks` never jumps (seconds)."""

    def __init__(
        self, jobs: Iterable[Job], work: Work, duty: Duty, *, ticks: Callable[[], float]
    ) -> None:
        self._work = work
        self._duty = duty
        self._ticks = ticks
        self._due = [(job, ticks()) for job in jobs]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run_on, name="jobs", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._duty.start()
        self._thread.start()

    def step(self) -> bool:
        """Run what is due; False where another process runs the jobs."""
        if not self._duty.mine():
            return False
        now = self._ticks()
        for index, (job, due) in enumerate(self._due):
            if now < due or self._stop.is_set():
                continue
            if not self._duty.mine():  # the one before took long
                return False
            self._due[index] = (job, now + job.seconds)
            try:
                job.run(self._work)
            except Exception:  # noqa: BLE001 - it is tried again, and the others go on
                _log.exception("the job %s failed", job.name)
        return True

    def _run_on(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            try:
                self.step()
            except OSError:
                _log.exception("whose turn it is to run the jobs could not be told")

    def close(self) -> None:
        """Stop after the job under way, and let another process go on."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._duty.close()
