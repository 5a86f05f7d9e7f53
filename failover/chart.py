"""How requests went over time, as SVG: a strip for each node and one for changes.

Rule of this file: counts go in, a picture comes out. A column is 100 ms, its height the share of
each outcome among the requests that started in it; empty where none did.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape

from failover.records import BIN_SECONDS, Event, Outcome

_COLOURS = {
    Outcome.DECIDED: "#4c9f70",
    Outcome.UNAVAILABLE: "#e0a030",
    Outcome.SILENT: "#7d8597",
    Outcome.UNREACHABLE: "#3d405b",
    Outcome.OTHER: "#c1121f",
}
_WIDTH, _STRIP, _GAP, _LEFT, _RIGHT, _TOP = 900.0, 48.0, 14.0, 70.0, 20.0, 30.0
_LABEL = 15.0  # from one event's label to the next below it
_LETTER = 6.2  # the width of one, about
_TICKS = 10.0  # seconds from one mark of the axis to the next


def drawn(
    title: str, series: Mapping[str, Sequence[Counter[Outcome]]], events: Sequence[Event],
    begun: float,
) -> str:  # fmt: skip
    """Return one run's picture; `begun` is the time of the first column."""
    bins = max((len(one) for one in series.values()), default=1)
    scale = (_WIDTH - _LEFT - _RIGHT) / bins
    top = _TOP + _LABEL * len(events)
    bottom = top + len(series) * (_STRIP + _GAP)
    parts = [f'<text x="{_LEFT}" y="16" class="t">{escape(title)}</text>']
    for number, (name, counts) in enumerate(series.items()):
        y = top + number * (_STRIP + _GAP)
        parts.append(f'<text x="{_LEFT - 6}" y="{y + _STRIP / 2 + 4:g}" class="n">{name}</text>')
        parts += _strip(counts, y, scale)
    for number, event in enumerate(events):
        x = _LEFT + (event.at - begun) / BIN_SECONDS * scale
        parts.append(_event(event, x, _TOP + _LABEL * (number + 0.7), bottom - _GAP))
    parts += _axis(bins, scale, bottom)
    parts += _legend(bottom + 36)
    return _FRAME.format(
        width=f"{_WIDTH:g}", height=f"{bottom + 48:g}", title=escape(title), parts="\n".join(parts)
    )


_FRAME = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>{title}</title>
<style>text{{font:11px sans-serif;fill:#222}}.t{{font-weight:bold;font-size:13px}}\
.n{{text-anchor:end}}.e{{text-anchor:end}}line{{stroke:#222;stroke-width:.7}}</style>
<rect width="100%" height="100%" fill="#fff"/>
{parts}
</svg>
"""


def _strip(counts: Sequence[Counter[Outcome]], y: float, scale: float) -> list[str]:
    """Return one path for each outcome: all of its columns."""
    paths: dict[Outcome, list[str]] = {}
    for at, found in enumerate(counts):
        floor, total = y + _STRIP, found.total()
        for which in Outcome:
            if not found[which]:
                continue
            height = found[which] / total * _STRIP
            floor -= height
            left = f"{_LEFT + at * scale:.2f}".rstrip("0").rstrip(".")
            column = f"M{left} {floor:.1f}h{scale:.2f}v{height:.1f}h-{scale:.2f}z"
            paths.setdefault(which, []).append(column)
    return [f'<path fill="{_COLOURS[one]}" d="{"".join(path)}"/>' for one, path in paths.items()]


def _event(event: Event, x: float, y: float, bottom: float) -> str:
    """Return an event's line and label, on the side where there is room."""
    right = x + 4 + len(event.what) * _LETTER < _WIDTH
    style, beside = ("", x + 4) if right else (' class="e"', x - 4)
    return (
        f'<line x1="{x:.1f}" y1="{y - 10:.1f}" x2="{x:.1f}" y2="{bottom:.1f}"/>'
        f'<text x="{beside:.1f}" y="{y:.1f}"{style}>{escape(event.what)}</text>'
    )


def _axis(bins: int, scale: float, y: float) -> list[str]:
    step = round(_TICKS / BIN_SECONDS)
    return [
        f'<text x="{_LEFT + at * scale:.1f}" y="{y + 4:g}">{at * BIN_SECONDS:.0f} s</text>'
        for at in range(0, bins, step)
    ]


def _legend(y: float) -> list[str]:
    parts, x = [], _LEFT
    for which, colour in _COLOURS.items():
        parts.append(f'<rect x="{x:g}" y="{y - 9:g}" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{x + 14:g}" y="{y:g}">{which.value}</text>')
        x += 30 + len(which.value) * _LETTER
    return parts
