"""The line that a key of a TOML file stands on, for faults found after parsing.

The parser keeps no positions, so this scans for table headers and keys; where a value spans
lines in a way it doesn't follow, it answers with the nearest line above.
"""

from __future__ import annotations

import re

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?")
_KEY = re.compile(
    r"\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\")(?:\s*\.\s*(?:[A-Za-z0-9_-]+|\"[^\"]*\"))*)\s*="
)
_PART = re.compile(r"\"([^\"]*)\"|([A-Za-z0-9_-]+)|\[(\d+)\]")


def line_of(text: str, key: str) -> int:
    """Return the line (from 1) of a dotted key such as `areas[2].rules[0].scope`.

    The longest part of the key that is found wins; line 1 when nothing is.
    """
    wanted = [found[1] or found[2] or int(found[3]) for found in _PART.finditer(key)]
    best_depth, best_line = 0, 1
    for depth, line in _places(text, wanted):
        if depth > best_depth:
            best_depth, best_line = depth, line
    return best_line


def _places(text: str, wanted: list[str | int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    counts: dict[tuple[str | int, ...], int] = {}
    table: tuple[str | int, ...] = ()
    open_key: tuple[str | int, ...] = ()
    items = -1
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line) if not open_key else None
        if header:
            table = tuple(_names(header[2]))
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            found.append((_agreement(table, wanted), number))
            continue
        key = _KEY.match(line)
        if key and not open_key:
            whole = (*table, *_names(key[1]))
            found.append((_agreement(whole, wanted), number))
            value = line[key.end() :]
            if value.count("[") > value.count("]"):
                open_key, items = whole, -1
        elif open_key:
            if line.lstrip().startswith("{"):
                items += 1
                found.append((_agreement((*open_key, items), wanted), number))
            if line.strip().startswith("]"):
                open_key = ()
    return found


def _names(dotted: str) -> list[str]:
    return [found[1] or found[2] for found in _PART.finditer(dotted) if not found[3]]


def _agreement(place: tuple[str | int, ...], wanted: list[str | int]) -> int:
    """Return how many leading parts agree, 0 when `place` is not on the way to `wanted`."""
    return len(place) if list(place) == wanted[: len(place)] else 0
