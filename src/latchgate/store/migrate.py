"""Bring databases to this program's schema, with Alembic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.pool import NullPool

from latchgate.core.location import Location, Postgres
from latchgate.store.sqlite import connect, driver

# Where migrations are; each may name the oldest program that can work with what it leaves.
VERSIONS = (Path(__file__).parent / "migrations" / "versions",)
Look = Callable[[sa.Connection], None]


def migrate(
    database: Location, *parts: str, revision: str = "head", before: Look | None = None
) -> None:
    """Migrate one database; `parts` names what it holds: `main`, `usage`.

    `revision` is the migration to stop at. The whole migration is one transaction, so a failed
    one leaves the database as it was; `before` looks at it in there first, and may refuse. A
    PostgreSQL database may be in use meanwhile.
    """
    config = _config()
    config.attributes["parts"] = set(parts)

    def run(connection: sa.Connection) -> None:
        if before is not None:
            before(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    if isinstance(database, Postgres):
        # Its driver takes 0.1 s to load, which a program on SQLite has no use for.
        from latchgate.store.postgres_migration import migrated  # noqa: PLC0415

        migrated(database, run)
        return
    with _alone(database) as connection:
        run(connection)


def oldest_program() -> str:
    """Return the number of the schema that a program must know to work with the newest one."""
    scripts = ScriptDirectory.from_config(_config())
    newest = scripts.get_revision("head")
    oldest: str = newest.module.oldest
    return oldest


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(map(str, VERSIONS)))
    return config


@contextmanager
def _alone(database: Path) -> Iterator[sa.Connection]:
    """Give a transaction that nobody else writes in, and commit it."""
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
