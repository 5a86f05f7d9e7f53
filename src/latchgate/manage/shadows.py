"""How an area's decisions compare with its old system's, and whether it can be cut over.

Rule of this file: told for one span of days, so that what was put right counts no more once it is
out of the span; an answer that never came is no difference of decisions, and is told apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from latchgate.core.policy import Area
from latchgate.core.shadow import Outcome
from latchgate.store.shadows import Comparison, Difference, ShadowReader

DAY = 86_400
DAYS = 7
MAX_DAYS = 30
LAST = 10


@dataclass(frozen=True, slots=True)
class Summary:
    """One area: `shadow` is its old system's name, None once it was cut over."""

    area: str
    shadow: str | None
    until: float | None
    days: int
    since: float | None
    counts: tuple[Comparison, ...]
    last: tuple[Difference, ...]

    def count(self, outcome: Outcome) -> int:
        """Return how many requests came to an outcome."""
        return sum(one.count for one in self.counts if one.outcome is outcome)

    @property
    def requests(self) -> int:
        """How many requests were compared; those that got no answer are not."""
        return sum(one.count for one in self.counts if one.outcome is not Outcome.UNANSWERED)

    @property
    def differences(self) -> int:
        """How many of them were decided differently."""
        return self.requests - self.count(Outcome.SAME)

    @property
    def ready(self) -> bool:
        """Whether something was compared, and nothing differed."""
        return self.requests > 0 and self.differences == 0

    @property
    def verdict(self) -> str:
        """Say in words whether it can be cut over."""
        told = f"{_many(self.requests, 'request')}, {_many(self.differences, 'difference')}"
        told += f" in {self.days} d"
        if self.shadow is None:
            return f"cut over: {told}"
        if self.ready:
            return f"ready to cut over: {told}"
        return f"not ready to cut over: {told if self.requests else 'nothing was compared yet'}"


def summaries(
    areas: Iterable[Area], reader: ShadowReader, *, now: float, days: int = DAYS
) -> list[Summary]:
    """Return every area that has an old system now, or had one; StoreError when not readable."""
    since = now - days * DAY
    counts: dict[str, list[Comparison]] = {}
    for one in reader.comparisons(since):
        counts.setdefault(one.area, []).append(one)
    shadows = {area.name: area.shadow for area in areas if area.shadow is not None}
    names = sorted({*shadows, *counts})
    last = reader.last(names, since=since, limit=LAST)
    found: list[Summary] = []
    for name in names:
        shadow, mine = shadows.get(name), counts.get(name, [])
        found.append(
            Summary(
                area=name,
                shadow=shadow.name if shadow is not None else None,
                until=shadow.until if shadow is not None else None,
                days=days,
                since=min((one.since for one in mine), default=None),
                counts=tuple(mine),
                last=tuple(last[name]),
            )
        )
    return found


def of_area(found: list[Summary], area: str) -> list[Summary]:
    """Return the summaries of an area by its whole name, or of all at its path."""
    return [one for one in found if one.area == area or one.area.startswith(f"{area} on ")]


def _many(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
