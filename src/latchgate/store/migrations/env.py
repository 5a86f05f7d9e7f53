"""Alembic runs this; the connection and the parts to migrate come in by attributes.

From 0008 on each migration names the `oldest` program that may go on working with what it leaves;
with it old and new programs run together (docs/decisions/0022).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import context

connection = context.config.attributes["connection"]


def _note_oldest(*, step: Any, **_: object) -> None:  # noqa: ANN401 - Alembic's own record
    told = context.script.get_revision(step.up_revision_id).module
    if oldest := getattr(told, "oldest", None):
        window = sa.table("schema_window", sa.column("oldest"))
        connection.execute(sa.update(window).values(oldest=oldest))


context.configure(connection=connection, transactional_ddl=True, on_version_apply=_note_oldest)
with context.begin_transaction():
    context.run_migrations()
