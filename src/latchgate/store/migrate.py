"""Bring databases to this program's schema, with Alembic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.pool import NullPool

from latchgate.core.location import Location, Postgres
from latchgate.store.sqlite import connect, driver


def migrate(database: Location, *parts: str, revision: str = "head") -> None:
    """Migrate one database; `parts` names what it holds: `main`, `usage`.

    `revision` is the migration to stop at. The whole migration is one transaction, so a failed
    one leaves the database as it was.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["parts"] = set(parts)
    with _alone(database) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


@contextmanager
def _alone(database: Location) -> Iterator[sa.Connection]:
    """Give a transaction that nobody else migrates in, and commit it."""
    if isinstance(database, Postgres):
        # Its driver takes 0.1 s to load, which a program on SQLite has no use for.
        from latchgate.store.postgres_migration import migrating  # noqa: PLC0415

        with migrating(database) as connection:
            yield connection
        return
    engine = sa.create_engine(
        "sqlite://",
        module=driver,
        creator=lambda: connect(database, durable=True),
        hide_parameters=True,
        poolclass=NullPool,
    )
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
        connection.commit()
    database.chmod(0o600)
