"""Alembic runs this; the connection and the parts to migrate come in by attributes.

From 0008 on each migration names the `oldest` program that may go on working with what it leaves;
with it old and new programs run together (docs/decisions/0023).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa
from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import Script

connection = context.config.attributes["connection"]


def _note_oldest(
    ctx: MigrationContext,  # noqa: ARG001 - Alembic's signature, this and the others
    step: MigrationInfo,
    heads: Collection[Any],  # noqa: ARG001
    run_args: Mapping[str, Any],  # noqa: ARG001
) -> None:
    done = step.up_revision
    if isinstance(done, Script) and (oldest := getattr(done.module, "oldest", None)):
        window = sa.table("schema_window", sa.column("oldest"))
        connection.execute(sa.update(window).values(oldest=oldest))


context.configure(connection=connection, transactional_ddl=True, on_version_apply=_note_oldest)
with context.begin_transaction():
    context.run_migrations()
