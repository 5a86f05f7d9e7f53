"""Bring databases to this program's schema, with Alembic."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.pool import NullPool

from latchgate.store.sqlite import connect, driver


def migrate(database: Path, *parts: str, revision: str = "head") -> None:
    """Migrate one SQLite file; `parts` names what it holds: `main`, `usage`.

    `revision` is the migration to stop at. The whole migration is one transaction, so a failed
    one leaves the file as it was.
    """
    engine = sa.create_engine(
        "sqlite://",
        module=driver,
        creator=lambda: connect(database, durable=True),
        hide_parameters=True,
        poolclass=NullPool,
    )
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["parts"] = set(parts)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()
    database.chmod(0o600)
