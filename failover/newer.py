"""The next version of this program, for an upgrade while it is in use: one migration more.

What it adds is a column of the credentials, the table that every node reads all the time, and an
index over them; nodes of this version may go on beside it.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from benchmarks.machine import ROOT

from latchgate.store.schema_window import SCHEMA_HEAD

_HEAD = re.compile(r'^SCHEMA_HEAD = "\d+"', re.MULTILINE)
_MIGRATION = '''\
"""A column and an index more, for a test."""

import sqlalchemy as sa
from alembic import context, op

revision = "{next}"
oldest = "{head}"
down_revision = "{head}"


def upgrade() -> None:
    """Add them."""
    if "main" in context.config.attributes["parts"]:
        op.add_column("credential", sa.Column("of_next_version", sa.Text))
        op.create_index("of_next_version", "credential", ["of_next_version"])
'''


def made(folder: Path) -> Path:
    """Make the next version's sources in a folder; the folder to import it from."""
    target = folder / "newer"
    if target.exists():
        return target
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src" / "latchgate", target / "latchgate", ignore=ignored)
    store, number = target / "latchgate" / "store", f"{int(SCHEMA_HEAD) + 1:04d}"
    reads = store / "schema_window.py"
    text, found = _HEAD.subn(f'SCHEMA_HEAD = "{number}"', reads.read_text(encoding="utf-8"))
    if found != 1:
        msg = f"{reads} does not say once which migration is the newest"
        raise RuntimeError(msg)
    reads.write_text(text, encoding="utf-8")
    migration = store / "migrations" / "versions" / f"m{number}_of_next_version.py"
    migration.write_text(_MIGRATION.format(next=number, head=SCHEMA_HEAD), encoding="utf-8")
    return target
