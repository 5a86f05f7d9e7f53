"""Two migrations of a program to come: one only adds, the other shuts older programs out."""

from __future__ import annotations

from pathlib import Path

from latchgate.store.schema_window import SCHEMA_HEAD

_ADDS = """
import sqlalchemy as sa
from alembic import op
revision = "9001"
down_revision = "{head}"
oldest = "{head}"
def upgrade():
    op.add_column("account", sa.Column("nickname", sa.Text))
"""
_SHUTS_OUT = """
import sqlalchemy as sa
from alembic import op
revision = "9002"
down_revision = "9001"
oldest = "9002"
def upgrade():
    op.create_table("later", sa.Column("id", sa.Text, primary_key=True))
"""


def versions(folder: Path, *, both: bool = True) -> Path:
    """Write them into a folder, as one more place of migrations; `both`, or the first alone."""
    made = folder / "versions"
    made.mkdir()
    (made / "m9001.py").write_text(_ADDS.format(head=SCHEMA_HEAD), encoding="utf-8")
    if both:
        (made / "m9002.py").write_text(_SHUTS_OUT, encoding="utf-8")
    return made
