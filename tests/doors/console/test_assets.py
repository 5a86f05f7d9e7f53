"""What pages load: each style stands by itself."""

from __future__ import annotations

import re
from importlib import resources

_BLOCK = re.compile(r"[^{};]*\{|\}")


def test_no_block_of_the_style_is_left_open_or_swallows_the_next():
    text = (resources.files("latchgate.doors.console") / "assets" / "console.css").read_text()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    opened: list[str] = []
    for block in _BLOCK.findall(text):
        if block == "}":
            assert opened, "a block is closed that was never opened"
            opened.pop()
            continue
        opened.append(" ".join(block.split()))
        assert all(outer.startswith("@") for outer in opened[:-1]), opened
    assert opened == []
