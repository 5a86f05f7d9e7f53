"""Charts: stacked bars over time as SVG, drawn here, for a page to show above their table.

Rule of this file: numbers and names go in, shapes come out; the words stand in the table, which
says the same to whoever can't see the picture. A picture has so many bars that each can be told
from the next; what is more is drawn together, and the table still has each.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

MAX_BARS = 100  # of a picture of 720: each has a width of 5 and a gap of 2
_WIDTH, _HEIGHT, _GAP = 720.0, 160.0, 2.0
_WIDEST = 24.0  # of one bar: three of them are no blocks
_STEPS = (1, 2, 5)  # of the scale's top, times a power of ten
_THOUSAND = 1_000
_UNITS = ("", "k", "M", "G", "T", "P")


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
    """Bars over time; `series` are what their counts are called, `top` what the scale ends at.

    `data` are those names of series that are no words of a language: names and ids. `joined` is how
    many bars stand in one of the picture; `marks` are labels below it, from its start to its end.
    """

    series: tuple[str, ...]
    bars: tuple[Bar, ...]
    top: int
    shapes: tuple[Shape, ...]
    data: frozenset[str] = frozenset()
    joined: int = 1
    marks: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to see."""
        return not self.shapes

    @property
    def totals(self) -> tuple[int, ...]:
        """How many of each series there are in all."""
        return tuple(sum(bar.counts[at] for bar in self.bars) for at in range(len(self.series)))

    @property
    def scale(self) -> tuple[str, str, str]:
        """What stands beside its lines, from the top: short, such as `2k`."""
        return _short(self.top), _short(self.top / 2), "0"


def drawn(series: Sequence[str], bars: Sequence[Bar], *, data: Collection[str] = ()) -> Chart:
    """Draw bars, each with one count for each of `series`; ValueError where some has others.

    `data` are the names of series that are shown as they are in every language.
    """
    if any(len(bar.counts) != len(series) for bar in bars):
        raise ValueError("each bar has one count for each series")
    joined = -(-len(bars) // MAX_BARS) or 1
    seen = [_sum(bars[at : at + joined]) for at in range(0, len(bars), joined)]
    top = _top(max((sum(counts) for counts in seen), default=0))
    return Chart(
        tuple(series),
        tuple(bars),
        top,
        tuple(shape for at in range(len(seen)) for shape in _stacked(at, seen, top)),
        frozenset(data),
        joined,
        _marks(bars),
    )


def _sum(bars: Sequence[Bar]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*(bar.counts for bar in bars), strict=True)))


def _stacked(at: int, seen: Sequence[tuple[int, ...]], top: int) -> list[Shape]:
    """Return the rectangles of one bar, one on the other."""
    step = _WIDTH / len(seen)
    width = min(max(step - _GAP, 1.0), _WIDEST)
    left, floor = at * step + (step - width) / 2, _HEIGHT
    shapes: list[Shape] = []
    for number, height in enumerate(_heights(seen[at], top)):
        if not height:
            continue
        floor -= height
        placed = round(left, 1), round(max(floor, 0.0), 1), round(width, 1), round(height, 1)
        shapes.append(Shape(*placed, number))
    return shapes


def _marks(bars: Sequence[Bar]) -> tuple[str, ...]:
    """Return the labels of the first, the middle and the last bar, each once."""
    places = dict.fromkeys((0, len(bars) // 2, len(bars) - 1)) if bars else {}
    return tuple(bars[at].label for at in places)


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


def _short(number: float) -> str:
    """Write a number of a scale with the letter of its thousands."""
    for unit in _UNITS[:-1]:
        if number < _THOUSAND:
            return f"{number:g}{unit}"
        number /= _THOUSAND
    return f"{number:g}{_UNITS[-1]}"
