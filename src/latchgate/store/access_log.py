"""The access log: a line for each decision, without headers and without secrets.

Rule of this file: on the verify path a decision is put into a bounded list and nothing else; a
thread of the recorder masks, words and writes. What does not fit, or can't be written, is counted
and told by a line of its own. Nothing here ever fails or delays a decision.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import msgspec

from latchgate.core.explain import masked_path
from latchgate.core.model import Decision, Request
from latchgate.core.timestamp import rfc3339
from latchgate.store.access_files import DAY, name_of, open_to_append

FILES = 16
MAX_NOTED = 10_000
TOLD_SECONDS = 60.0
_REMEMBERED = 4_096
# More is read than is kept: a mask may be shorter than what it hides.
_PATH_READ, _PATH_KEPT = 3_072, 2_048
_AGENT_READ, _AGENT_KEPT = 600, 200
_HOST_READ, _HOST_KEPT = 520, 260
_PARAMETER = re.compile(r"[A-Za-z0-9_.~%\[\]-]{1,64}=")
_FLAG = re.compile(r"[A-Za-z_-]{1,16}")
_encode = msgspec.json.Encoder().encode
_log = logging.getLogger(__name__)
Noted = tuple[Decision, Request, float]


class Line(msgspec.Struct, frozen=True):
    """One decision; `at` comes first, so that a reader finds it without reading the rest.

    `decision_id` is what `explain` knows a refusal by. `path` has the query's names, and `***` for
    its values. Whose credential it was is None where nothing was proven.
    """

    at: str
    outcome: str
    reason: str
    decision_id: str | None
    method: str
    host: str
    path: str
    area: str | None
    scope: str | None
    credential_id: str | None
    kind: str | None
    owner_id: str | None
    tenant_id: str | None
    project_id: str | None
    application_id: str | None
    address: str | None
    agent: str
    policy_version: int


class Dropped(msgspec.Struct, frozen=True):
    """How many lines are missing before this one."""

    at: str
    dropped: int


def moment(at: float) -> str:
    """Return a time as RFC 3339 in UTC, always with milliseconds: such texts sort by time."""
    # A time that was read from such a text is a little less than it, as floating point goes.
    second, thousandths = divmod(int(at * 1000 + 0.001), 1000)
    return f"{_second(second)}.{thousandths:03}Z"


@lru_cache(16)
def _second(second: int) -> str:
    return rfc3339(second)[:-1]


class AccessLog:
    """The access log of one process; noted from any thread, written by one at a time.

    `redact` masks secrets. `ticks` never jumps. A file is followed by another at a sixteenth of
    `max_bytes`, so that retention has whole files to take.
    """

    def __init__(
        self,
        directory: Path,
        *,
        redact: Callable[[str], str],
        ticks: Callable[[], float],
        clock: Callable[[], float],
        max_bytes: int,
    ) -> None:
        self._directory = directory
        self._ticks = ticks
        self._clock = clock
        self._file_bytes = max_bytes // FILES
        self._noted: deque[Noted] = deque()
        self._process = os.getpid()
        self._file: int | None = None
        self._day = self._number = 0  # of the file that is open, or was last
        self._lock = threading.Lock()
        self.dropped = 0  # lines that are in no file
        self._told = 0  # of them, what a line tells
        self._complained = -TOLD_SECONDS
        self._path = lru_cache(_REMEMBERED)(lambda target: _path(target, redact))
        self._agent = lru_cache(_REMEMBERED)(lambda told: _agent(told, redact))
        self._host = lru_cache(_REMEMBERED)(lambda told: redact(told[:_HOST_READ])[:_HOST_KEPT])
        self._method = lru_cache(256)(lambda told: redact(told[:80])[:40])

    def note(self, decision: Decision, request: Request, now: float) -> None:
        """Keep a decision for the next batch, or count that there was no room."""
        if len(self._noted) < MAX_NOTED:
            self._noted.append((decision, request, now))
        else:
            with self._lock:
                self.dropped += 1

    def flush(self) -> None:
        """Write what was noted; what can't be written is counted, and complained of by the minute.

        A file of a day that is over is let go of, so that it can be deleted in its time.
        """
        if self._file is not None and self._day != int(self._clock() // DAY):
            self.close()
        taken = [self._noted.popleft() for _ in range(len(self._noted))]
        if not taken and self.dropped == self._told:
            return
        for day, noted in groupby(taken, key=lambda one: int(one[2] // DAY)):
            self._append(day, [self._worded(one) for one in noted])
        if not taken:
            self._append(int(self._clock() // DAY), [])

    def _append(self, day: int, lines: list[bytes]) -> None:
        untold = self.dropped - self._told
        head = [_encode(Dropped(moment(self._clock()), untold))] if untold else []
        try:
            written = self._write(day, [*head, *lines])
        except OSError as error:
            self.close()
            written = 0
            self._complain(error)
        if head and written:
            self._told += untold
        lost = len(lines) - max(0, written - len(head))
        if lost:
            with self._lock:
                self.dropped += lost

    def _write(self, day: int, lines: list[bytes]) -> int:
        """Write lines at once; returns how many of them are whole in the file."""
        opened = self._opened(day)
        size = os.fstat(opened).st_size
        # What a full disk cut off ends here.
        torn = b"\n" if size and os.pread(opened, 1, size - 1) != b"\n" else b""
        data = torn + b"".join(line + b"\n" for line in lines)
        written = os.write(opened, data)
        if written < len(data):
            self._complain("there is no room left")
        return data[:written].count(b"\n") - len(torn)

    def _opened(self, day: int) -> int:
        """Return the file of a day that has room, made when there is none."""
        if day != self._day:
            self.close()
            self._day, self._number = day, 0
        while True:
            if self._file is None:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                name = name_of(day, self._process, self._number)
                self._file = open_to_append(self._directory / name)
            about = os.fstat(self._file)
            if about.st_nlink and about.st_size < self._file_bytes:
                return self._file
            self.close()
            self._number += 1 if about.st_nlink else 0

    def _worded(self, noted: Noted) -> bytes:
        line = self._line(*noted)
        try:
            return _encode(line)
        except UnicodeEncodeError:  # an application handed in a lone surrogate
            told = msgspec.structs.asdict(line)
            return _encode({name: _plain(value) for name, value in told.items()})

    def _line(self, decision: Decision, request: Request, now: float) -> Line:
        credential, grant, rule = decision.credential, decision.grant, decision.rule
        application = grant.application if grant is not None else None
        return Line(
            at=moment(now),
            outcome="allowed" if decision.allowed else "refused",
            reason=str(decision.reason),
            decision_id=decision.id or None,
            method=self._method(request.method),
            host=self._host(request.host),
            path=self._path(request.target),
            area=decision.area.path if decision.area is not None else None,
            scope=rule.scope if rule is not None else None,
            credential_id=credential.source_id if credential is not None else None,
            kind=credential.kind if credential is not None else None,
            owner_id=credential.owner_id if credential is not None else None,
            tenant_id=credential.tenant_id if credential is not None else None,
            project_id=credential.project_id or None if credential is not None else None,
            application_id=application.id if application is not None else None,
            address=str(request.client) if request.client is not None else None,
            agent=self._agent(request.headers.get("user-agent", "")),
            policy_version=decision.policy_version,
        )

    def _complain(self, why: object) -> None:
        if self._ticks() - self._complained >= TOLD_SECONDS:
            self._complained = self._ticks()
            _log.error("the access log in %s can't be written: %s", self._directory, why)

    def close(self) -> None:
        """Let go of the file; the next batch opens one again."""
        opened, self._file = self._file, None
        if opened is not None:
            os.close(opened)


def _path(target: str, redact: Callable[[str], str]) -> str:
    """Return what may be kept of a target: of its query only names, as values may be secrets."""
    path, mark, query = target[:_PATH_READ].partition("?")
    if mark:
        query = "&".join(map(_parameter, query.split("&")))
    return masked_path(f"{path}{mark}{query}", redact)[:_PATH_KEPT]


def _parameter(text: str) -> str:
    named = _PARAMETER.match(text)
    if named is not None:
        return f"{named[0]}***"
    return text if not text or _FLAG.fullmatch(text) else "***"


def _agent(told: str, redact: Callable[[str], str]) -> str:
    """Return what may be kept of a `user-agent`: printable, masked, short."""
    if len(told) > _AGENT_READ:
        # Cut where a word ends: no part of a secret may be left that nothing masks.
        told = told[:_AGENT_READ].rpartition(" ")[0]
    return redact("".join(filter(str.isprintable, told)))[:_AGENT_KEPT]


def _plain(value: object) -> object:
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value
