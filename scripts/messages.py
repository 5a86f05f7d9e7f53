"""Take every text of the console out of its source, for translators.

`python scripts/messages.py` writes the template of catalogues; with `--check` it says whether the
template is stale, and fails when it is.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "src/latchgate/doors/console/latchgate.pot"
_DOORS = ROOT / "src/latchgate/doors"
_METHODS = [("console/**.py", "python"), ("form.py", "python"), ("console/pages/**.html", "jinja2")]
# As the pages are read (frame.py); a template that can't be is an error.
_OPTIONS = {
    "console/pages/**.html": {
        "trim_blocks": "true",
        "lstrip_blocks": "true",
        "newstyle_gettext": "true",
        "silent": "false",
    }
}
# Which argument of a call is a text; FormError and refuse take a status before it.
_CALLS = {"N_": None, "words": (1,), "FormError": (2,), "refuse": (2,)}
# The same text whenever it is made: what changed since is for the history to tell.
_WRITTEN = datetime(2026, 1, 1, tzinfo=UTC)
# Nor does it tell by which Babel.
_GENERATED = re.compile(rb'"Generated-By: [^"]*"\n')
_HEADER = """\
# Every text of Latchgate's console. Translate a copy of it with any gettext tool:
# docs/howto/translate-the-console.md says how.
#"""


def extracted() -> Catalog:
    """Return every text of the console as it stands in the source now."""
    made = Catalog(
        project="Latchgate",
        charset="utf-8",
        header_comment=_HEADER,
        msgid_bugs_address="see SECURITY.md and CONTRIBUTING.md",
        creation_date=_WRITTEN,
    )
    for file, text, comments, context in sorted(_found(), key=lambda one: (one[0], f"{one[1]}")):
        made.add(text, None, [(file, 0)], auto_comments=comments, context=context)
    return made


def template() -> bytes:
    """Return the template of catalogues, as it is kept."""
    written = io.BytesIO()
    write_po(written, extracted(), width=100, sort_by_file=True, include_lineno=False)
    return _GENERATED.sub(b"", written.getvalue())


def _found() -> Iterator[tuple[str, str | tuple[str, ...], list[str], str | None]]:
    found = extract_from_dir(
        _DOORS, _METHODS, _OPTIONS, DEFAULT_KEYWORDS | _CALLS, comment_tags=("Translators:",)
    )
    for file, _line, text, comments, context in found:
        yield f"src/latchgate/doors/{file}", text, comments, context


def main(arguments: list[str]) -> int:
    """Write the template, or say whether it is stale."""
    made = template()
    if arguments != ["--check"]:
        TEMPLATE.write_bytes(made)
        return 0
    if TEMPLATE.is_file() and TEMPLATE.read_bytes() == made:
        return 0
    with TEMPLATE.open("rb") as opened:
        kept = {f"{one.id}" for one in read_po(opened)}
    for one in extracted():
        if f"{one.id}" not in kept:
            sys.stderr.write(f"not in the template: {one.id!r}\n")
    sys.stderr.write(f"{TEMPLATE.relative_to(ROOT)} is stale: make messages\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
