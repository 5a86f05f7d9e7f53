"""One log, JSON lines on standard error, for Latchgate and the servers it runs in.

Rule of this file: what leaves is redacted last, after formatting, so that no argument, exception
or third-party logger can carry a secret past it; JSON escapes what could forge a line (D7.61).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import structlog

_SERVERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio", "sqlalchemy", "alembic")


class RedactingFormatter(logging.Formatter):
    """Formats with structlog, then masks every secret in the finished line."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._redact = redact
        self._inner = structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without secrets."""
        return self._redact(self._inner.format(record))


def configure(redact: Callable[[str], str], *, level: int = logging.INFO) -> None:
    """Send every logger's records through one redacting handler."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter(redact))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _SERVERS:
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = True
        logger.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
