"""Counts over time as charts: what is told apart in them, and what that is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from latchgate.core.reason import Reason
from latchgate.core.timestamp import rfc3339
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.chart import Bar, Chart, drawn
from latchgate.doors.console.languages import N_
from latchgate.manage.usage import Table
from latchgate.store.usage import Period

SERIES = 5  # told apart in a chart; the others are one
_WORDS = {"allowed": N_("allowed"), "refused": N_("refused")}
_DAY, _MINUTE = len("2026-11-22"), len("2026-11-22T10:00")


def charted(browser: Browser, found: Table, starts: Iterable[int], period: Period) -> Chart:
    """Draw a report over time (columns: `at`, what is told apart, `count`).

    Of more than a few values those with the most are told apart; what was allowed is the first.
    """
    column = found.columns[1]
    kept, others = _kept(found, column)
    counts = {rfc3339(at): [0] * (len(kept) + others) for at in starts}
    for row in found.rows:
        if row["at"] in counts:
            place = kept.index(row[column]) if row[column] in kept else len(kept)
            counts[row["at"]][place] += row["count"]
    names = [_name(browser, value) for value in kept]
    if others:
        names.append(browser.words(N_("all others")))
    bars = [Bar(label(at, period), tuple(told)) for at, told in counts.items()]
    return drawn(names, bars, data={one for one in kept if one and one not in _WORDS})


def _kept(found: Table, column: str) -> tuple[list[str], bool]:
    """Return the values that are told apart, and whether there are others."""
    sums: Counter[str] = Counter()
    for row in found.rows:
        sums[row[column]] += row["count"]
    allowed = [str(Reason.ALLOWED)] if column in {"reason", "outcome"} else []
    rest = [value for value, _ in sums.most_common() if value not in allowed]
    room = SERIES - len(allowed)
    return allowed + rest[:room], len(rest) > room


def _name(browser: Browser, value: str) -> str:
    return browser.words(_WORDS.get(value, "")) or value or browser.words(N_("none"))


def label(at: str, period: Period) -> str:
    """Return how the beginning of a period (RFC 3339) is shown: its day, or its minute."""
    return at[:_DAY] if period is Period.DAY else at[:_MINUTE].replace("T", " ")
