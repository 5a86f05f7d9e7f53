"""Masks secrets in what Latchgate itself logs inside somebody else's program.

Rule of this file: the program's own handlers and formatters may do with a record what they like, so
a record leaves our loggers with nothing in it that would have to be masked later.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

_OURS = "latchgate"


class RedactingFilter(logging.Filter):
    """Replaces a record's message, arguments, exception and stack by their masked text."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._redact = redact

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask in place; every record passes."""
        record.msg, record.args = self._redact(record.getMessage()), None
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")
            record.exc_info = None
        if record.exc_text:
            record.exc_text = self._redact(record.exc_text)
        if record.stack_info:
            record.stack_info = self._redact(record.stack_info)
        return True


def attach(redact: Callable[[str], str]) -> None:
    """Have every logger of Latchgate's that there is mask what it logs, if it doesn't already."""
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if not isinstance(logger, logging.Logger) or name.partition(".")[0] != _OURS:
            continue
        if not any(isinstance(one, RedactingFilter) for one in logger.filters):
            logger.addFilter(RedactingFilter(redact))
