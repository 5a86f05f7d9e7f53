# ruff: noqa: INP001 - run by path
"""Put the samples of examples/clouds into the pages that show them.

    python docs/samples.py            writes the pages
    python docs/samples.py --check    says which are stale, and fails when one is

A block behind a link to a file of examples/clouds, the link alone on its line, is that file's text.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).absolute().parent.parent
PAGES = tuple(sorted((ROOT / "docs" / "howto").glob("call-*.md")))
SHOWN = re.compile(
    r"(^\[[\w.-]+\]\(\.\./\.\./(examples/clouds/[\w./-]+)\):\n\n```\w+\n)(.*?)(?=^```$)",
    re.MULTILINE | re.DOTALL,
)


def filled(text: str) -> str:
    """Return a page's text with each sample as its file has it now."""
    return SHOWN.sub(lambda found: found[1] + (ROOT / found[2]).read_text("utf-8"), text)


def main() -> None:
    """Write the pages, or check them."""
    stale = [page for page in PAGES if filled(page.read_text("utf-8")) != page.read_text("utf-8")]
    if "--check" in sys.argv[1:]:
        if stale:
            names = ", ".join(page.name for page in stale)
            sys.exit(f"stale: {names}; run python docs/samples.py")
        return
    for page in stale:
        page.write_text(filled(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
