"""Rules for other people's scanners, made from what the kinds say of their leaked secrets.

Rule of this file: RE2 has no look-around, and repeats at most 1,000 times; the kinds' patterns keep
to that. A foreign scanner checks no checksum, so that what it finds is likely at most.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from latchgate.core.kinds import LeakShape

_BARE_ENTROPY = 3.0  # bits a character: 32 drawn hexadecimal digits have about 3.6


def gitleaks(known: Mapping[str, LeakShape]) -> str:
    """Return a gitleaks configuration that adds our rules to its own."""
    parts = [
        "# Made by latchgate scan, which also checks checksums and reads base64.\n",
        'title = "Latchgate"\n',
        "[extend]\nuseDefault = true\n",
    ]
    for name, shape in known.items():
        word = name.replace(".", "-").replace("_", "-")
        lines = [
            "[[rules]]",
            f"id = {json.dumps(word)}",
            f"description = {json.dumps(f'{name} of Latchgate: have it revoked')}",
            f"regex = '''{_bordered(shape)}'''",
            "secretGroup = 1",
        ]
        if shape.anchor:
            lines.append(f"keywords = [{json.dumps(shape.anchor)}]")
        else:
            lines.append(f"entropy = {_BARE_ENTROPY}")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _bordered(shape: LeakShape) -> str:
    return f"({shape.pattern})" if shape.anchor else rf"\b({shape.pattern})\b"
