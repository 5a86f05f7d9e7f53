"""One log, JSON lines on standard error, for Latchgate and the servers it runs in.

Rule of this file: what leaves is redacted last, after formatting, so that no argument, exception
or third-party logger can carry a secret past it; JSON escapes what could forge a line (D7.61).
"""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

_SERVERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio", "httpx2", "httpcore2")
# These tell rows and statements, digests and all, when they are asked to tell much.
_NEVER_VERBOSE = ("sqlalchemy", "alembic")
_log = logging.getLogger(__name__)


class RedactingFormatter(logging.Formatter):
    """Makes one line of JSON of a record, then masks every secret in the finished line.

    By the standard library alone: structlog loads a terminal's colours and takes 6 MiB for them.
    """

    def __init__(self, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without secrets."""
        told = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "timestamp": _instant(record.created),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            told["stack"] = self.formatStack(record.stack_info)
        return self._redact(json.dumps(told))


def _instant(at: float) -> str:
    """Return a time as RFC 3339 writes it, to the microsecond."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


class RedactedStream(io.TextIOBase):
    """A stream that masks every secret in what is written to it, a whole line at a time.

    Half a line waits for its end, or for `flush`: a secret that comes in two pieces is masked too.
    """

    def __init__(self, inner: TextIO, redact: Callable[[str], str]) -> None:
        super().__init__()
        self.inner = inner
        self._redact = redact
        self._waiting = ""
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Take text, and pass on the lines that are whole."""
        with self._lock:
            whole, end, rest = (self._waiting + text).rpartition("\n")
            self._waiting = rest
            if end:
                self.inner.write(self._redact(whole) + end)
        return len(text)

    def flush(self) -> None:
        """Pass on what waits."""
        with self._lock:
            waiting, self._waiting = self._waiting, ""
            if waiting:
                self.inner.write(self._redact(waiting))
            self.inner.flush()

    def fileno(self) -> int:
        """Return the descriptor below, which programs started from here may inherit."""
        return self.inner.fileno()

    def isatty(self) -> bool:
        """Whether a person reads along."""
        return self.inner.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream below."""
        return self.inner.encoding

    def writable(self) -> bool:
        """Return True."""
        return True


def guard(redact: Callable[[str], str]) -> TextIO:
    """Mask whatever this process writes to standard error by itself; returns the stream below.

    Tracebacks that nobody caught, warnings, handlers that a library makes for itself: all of them
    write to `sys.stderr`. What C code writes there (faulthandler) names lines and no values.
    """
    below = sys.stderr.inner if isinstance(sys.stderr, RedactedStream) else sys.stderr
    sys.stderr = RedactedStream(below, redact)
    return below


def configure(redact: Callable[[str], str], *, level: int = logging.INFO) -> None:
    """Send every logger's records, and what nobody caught, through one redacting handler."""
    handler = logging.StreamHandler(guard(redact))
    handler.setFormatter(RedactingFormatter(redact))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in [*_SERVERS, *logging.root.manager.loggerDict]:
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = True
    for name in _SERVERS:
        logging.getLogger(name).setLevel(level if level < logging.INFO else logging.WARNING)
    for name in _NEVER_VERBOSE:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    sys.unraisablehook = _unraisable
    threading.excepthook = _uncaught_in_thread


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _log.critical("nobody caught an exception", exc_info=(kind, error, trace))


def _uncaught_in_thread(told: threading.ExceptHookArgs) -> None:
    if told.exc_value is not None and not isinstance(told.exc_value, SystemExit):
        _uncaught(told.exc_type, told.exc_value, told.exc_traceback)


def _unraisable(told: sys.UnraisableHookArgs) -> None:
    # Not the object: what it prints as is anybody's.
    if told.exc_value is not None:
        _uncaught(told.exc_type, told.exc_value, told.exc_traceback)
