"""A database of PostgreSQL that nobody can reach for a while, and connections that end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from psycopg import sql
from tests.postgres import Postgres as Server

from latchgate.core.location import Postgres


@contextlib.contextmanager
def away(server: Server, at: Postgres) -> Iterator[None]:
    """End all connections to a database, and let nobody make one."""
    _allow(server, at, whether=False)
    ended(server, at)
    try:
        yield
    finally:
        _allow(server, at, whether=True)


def ended(server: Server, at: Postgres) -> int:
    """End all connections to a database; how many there were."""
    end = sql.SQL(
        "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE datname = {}"
    )
    return len(server.execute(end.format(sql.Literal(_name(at)))))


def _allow(server: Server, at: Postgres, *, whether: bool) -> None:
    allow = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}")
    server.execute(allow.format(sql.Identifier(_name(at)), sql.Literal(whether)))


def _name(at: Postgres) -> str:
    return at.uri.reveal().partition("?")[0].rpartition("/")[2]
