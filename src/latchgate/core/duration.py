"""Durations as people write them: `1h`, `24h`, `7d`, `1h30m`, `1h30min`, `90s`, `2w`."""

from __future__ import annotations

import re
from itertools import pairwise

_UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART = re.compile(r"([0-9]{1,9})(min|sec|[smhdw])")
_WHOLE = re.compile(r"(?:[0-9]{1,9}(?:min|sec|[smhdw]))+")
MAX_SECONDS = 100 * 365 * 86_400  # a century: past it a typing mistake is likelier than a wish


def parse_duration(text: str) -> int:
    """Read a duration as whole seconds, at least 1.

    Units are s, m or min, h, d, w, largest first, each at most once. Raises ValueError that
    quotes the text and shows what would be right.
    """
    trimmed = text.strip().lower()
    parts = _PART.findall(trimmed)
    sizes = [_UNITS[unit] for _, unit in parts]
    falling = all(one > other for one, other in pairwise(sizes))
    if not _WHOLE.fullmatch(trimmed) or not falling:
        msg = f"{text[:40]!r} is not a duration; write for example 1h, 24h, 7d, 1h30m or 90s"
        raise ValueError(msg)
    seconds = sum(int(count) * _UNITS[unit] for count, unit in parts)
    if not 0 < seconds <= MAX_SECONDS:
        msg = f"{text[:40]!r} must be longer than nothing and at most 100 years"
        raise ValueError(msg)
    return seconds


def duration_text(seconds: float) -> str:
    """Write whole seconds as `parse_duration` reads them, in days and smaller: `90d`, `1h30m`."""
    left, parts = round(seconds), list[str]()
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, _UNITS[unit])
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"
