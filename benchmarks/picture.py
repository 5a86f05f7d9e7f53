"""What a request costs, as SVG: one bar for each program, its length the logarithm of its CPU.

Rule of this file: figures go in, a picture comes out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

_WIDTH, _LEFT, _RIGHT, _TOP, _BAR, _GAP = 900.0, 290.0, 150.0, 58.0, 18.0, 8.0
_OURS, _OTHER = "#2a6f97", "#b9c2cc"
_WHAT = "CPU of the server, µs a request, logarithmic; in brackets, requests a second of one core"
_FRAME = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img">
<title>{title}</title>
<style>text{{font:12px sans-serif;fill:#222}}.t{{font-weight:bold;font-size:14px}}\
.n{{text-anchor:end}}.s{{fill:#666}}line{{stroke:#ddd}}</style>
<rect width="100%" height="100%" fill="#fff"/>
{parts}
</svg>
"""


def drawn(title: str, spent: Mapping[str, float], *, ours: str) -> str:
    """Return the picture of CPU microseconds a request, cheapest first.

    `ours` begins the names of the bars that stand out.
    """
    rows = sorted(spent.items(), key=lambda one: one[1])
    least = 10 ** math.floor(math.log10(rows[0][1]))
    most = 10 ** math.ceil(math.log10(rows[-1][1] * 1.0001))
    scale = (_WIDTH - _LEFT - _RIGHT) / math.log10(most / least)
    bottom = _TOP + len(rows) * (_BAR + _GAP)
    parts = [
        f'<text x="12" y="22" class="t">{escape(title)}</text>',
        f'<text x="12" y="40" class="s">{_WHAT}</text>',
    ]
    mark = least
    while mark <= most:
        x = _LEFT + math.log10(mark / least) * scale
        parts.append(f'<line x1="{x:.1f}" y1="{_TOP - 6:g}" x2="{x:.1f}" y2="{bottom:g}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 14:g}" class="s">{mark:,.0f}</text>')
        mark *= 10
    for number, (name, cpu) in enumerate(rows):
        y = _TOP + number * (_BAR + _GAP)
        length = max(1.0, math.log10(cpu / least) * scale)
        colour = _OURS if name.startswith(ours) else _OTHER
        size = f'width="{length:.1f}" height="{_BAR:g}" fill="{colour}"'
        told = f"{cpu:,.1f} µs ({1e6 / cpu:,.0f})"
        parts += [
            f'<text x="{_LEFT - 8:g}" y="{y + 13:g}" class="n">{escape(name)}</text>',
            f'<rect x="{_LEFT:g}" y="{y:g}" {size}/>',
            f'<text x="{_LEFT + length + 6:.1f}" y="{y + 13:g}">{told}</text>',
        ]
    return _FRAME.format(
        width=_WIDTH, height=bottom + 26, title=escape(title), parts="\n".join(parts)
    )
