"""The line that a key of a TOML file stands on, for faults found after parsing.

The parser keeps no positions, so it is asked again: the key stands on the last line of the
shortest beginning of the file that already holds it. An open array is closed for that.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

_PART = re.compile(r"\"([^\"]*)\"|([A-Za-z0-9_-]+)|\[(\d+)\]")
_ENDINGS = ("", "]", "}", "}]", "]}", "]}]")
_MAX_LINES_OF_A_VALUE = 200


def line_of(text: str, key: str) -> int:
    """Return the line (from 1) of a dotted key such as `areas[2].rules[0].scope`.

    The longest part of the key that is there wins; line 1 when nothing is, or when the text is
    not TOML.
    """
    lines = text.split("\n")
    wanted = [
        int(index) if index is not None else quoted if quoted is not None else bare
        for quoted, bare, index in (found.groups() for found in _PART.finditer(key))
    ]
    whole = _parsed(text)
    while wanted and not _holds(whole, wanted):
        wanted.pop()
    if not wanted:
        return 1
    low, high = 0, len(lines)
    while high - low > 1:
        middle = (low + high) // 2
        at, document = _beginning(lines, middle, low)
        if _holds(document, wanted):
            high = at
        else:
            low = middle
    return high


def _beginning(lines: list[str], end: int, after: int) -> tuple[int, Any]:
    """Return the longest beginning up to line `end` that parses, as (its last line, document)."""
    for at in range(end, max(after, end - _MAX_LINES_OF_A_VALUE), -1):
        for ending in _ENDINGS:
            document = _parsed("\n".join([*lines[:at], ending]))
            if document is not None:
                return at, document
    return end, None


def _parsed(text: str) -> Any:  # noqa: ANN401 - a TOML document
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):  # a number too long to read is a plain ValueError
        return None


def _holds(document: Any, wanted: list[Any]) -> bool:  # noqa: ANN401 - a TOML document
    for part in wanted:
        if isinstance(part, int):
            if not isinstance(document, list) or part >= len(document):
                return False
        elif not isinstance(document, dict) or part not in document:
            return False
        document = document[part]
    return True
