"""Charts: stacked bars over time as SVG, drawn here, for a page to show above their table.

Rule of this file: numbers and names go in, shapes come out; the words stand in the table, which
says the same to whoever can't see the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT, _GAP = 720.0, 160.0, 2.0
_STEPS = (1, 2, 5)  # of the scale's top, times a power of ten


@dataclass(frozen=True, slots=True)
class Bar:
    """One moment: what it is called, and one count for each series."""

    label: str
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """A rectangle of the picture, of the series of this number (0 the first, drawn lowest)."""

    x: float
    y: float
    width: float
    height: float
    series: int


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars over time; `series` are what their counts are called, `top` what the scale ends at."""

    series: tuple[str, ...]
    bars: tuple[Bar, ...]
    top: int
    shapes: tuple[Shape, ...]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to see."""
        return not self.shapes

    @property
    def totals(self) -> tuple[int, ...]:
        """How many of each series there are in all."""
        return tuple(sum(bar.counts[at] for bar in self.bars) for at in range(len(self.series)))


def drawn(series: Sequence[str], bars: Sequence[Bar]) -> Chart:
    """Draw bars, each with one count for each of `series`; ValueError where some has others."""
    if any(len(bar.counts) != len(series) for bar in bars):
        raise ValueError("each bar has one count for each series")
    top = _top(max((sum(bar.counts) for bar in bars), default=0))
    step = _WIDTH / len(bars) if bars else 0.0
    shapes: list[Shape] = []
    for at, bar in enumerate(bars):
        floor = _HEIGHT
        for number, height in enumerate(_heights(bar.counts, top)):
            if not height:
                continue
            floor -= height
            shapes.append(
                Shape(
                    round(at * step + _GAP / 2, 1),
                    round(max(floor, 0.0), 1),
                    round(max(step - _GAP, 1.0), 1),
                    round(height, 1),
                    number,
                )
            )
    return Chart(tuple(series), tuple(bars), top, tuple(shapes))


def _heights(counts: Sequence[int], top: int) -> list[float]:
    """Return how high each series of a bar is: what is there is seen, and the tallest gives way."""
    found = [max(count / top * _HEIGHT, 1.0) if count > 0 else 0.0 for count in counts]
    over = sum(found) - _HEIGHT
    if over > 0:
        found[found.index(max(found))] -= over
    return found


def _top(most: int) -> int:
    """Return the next 1, 2 or 5 times a power of ten: a scale that people read."""
    power = 1
    while True:
        for step in _STEPS:
            if most <= step * power:
                return step * power
        power *= 10
