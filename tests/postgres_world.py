"""Databases in PostgreSQL for `World`: made once, and brought back to their first records after.

Making a database takes longer than most tests; emptying one by TRUNCATE does too.
"""

from __future__ import annotations

import secrets
import time

import psycopg
from psycopg import sql
from tests.postgres import Postgres as Server

from latchgate.core.location import Postgres
from latchgate.core.secret import Secret
from latchgate.manage import setup
from latchgate.store import schema
from latchgate.store.journal import Store
from latchgate.store.migrate import migrate

_TABLES = [table.name for table in schema.main.sorted_tables]
_FILLED = sql.SQL(" UNION ALL ").join(
    sql.SQL("SELECT {} WHERE EXISTS (SELECT 1 FROM public.{})").format(name, sql.Identifier(name))
    for name in _TABLES
)


class Databases:
    """Those of one process in one server, all with the same first records."""

    def __init__(self, server: Server) -> None:
        # Here: `world` takes its databases from this file.
        from tests.world import FILES, compiled

        self._server = server
        self._template = f"world_{secrets.token_hex(4)}"
        self._made = 0
        self._free: list[str] = []
        # One connection each, which knows the plan of what it is asked after every test.
        self._caring: dict[str, psycopg.Connection] = {}
        server.create(self._template)
        at = self._at(self._template)
        migrate(at, "main")
        store = Store(at, clock=time.time)
        self.first = setup.initialize(
            store,
            compiled(FILES, 1),
            FILES,
            entropy=secrets.token_bytes,
            hash_password=lambda _text: "$argon2id$made-up",
        )
        store.close()
        with psycopg.connect(server.socket_uri(self._template)) as connection:
            connection.execute("CREATE SCHEMA kept")
            self._kept = self._filled(connection)
            for name in _TABLES:
                copied = sql.SQL("CREATE TABLE kept.{0} AS TABLE public.{0}")
                connection.execute(copied.format(sql.Identifier(name)))

    def take(self) -> Postgres:
        """Return a database with its first records, for one world."""
        if self._free:
            name = self._free.pop()
        else:
            self._made += 1
            name = f"{self._template}_{self._made}"
            self._server.create(name, self._template)
            uri = self._server.socket_uri(name)
            self._caring[name] = psycopg.connect(uri, autocommit=True)
        return self._at(name)

    def give_back(self, at: Postgres) -> None:
        """Bring a database back to its first records, for the next world."""
        name = at.uri.reveal().partition("?")[0].rpartition("/")[2]
        connection = self._caring[name]
        filled = self._filled(connection)
        emptied = [sql.SQL("DELETE FROM public.{}").format(sql.Identifier(one)) for one in filled]
        back = sql.SQL("INSERT INTO public.{0} SELECT * FROM kept.{0}")
        put = [back.format(sql.Identifier(one)) for one in self._kept]
        connection.execute(sql.SQL("; ").join([*reversed(emptied), *put]))
        self._free.append(name)

    def close(self) -> None:
        """Close every connection; the databases end with their server."""
        for connection in self._caring.values():
            connection.close()

    @staticmethod
    def _filled(connection: psycopg.Connection) -> list[str]:
        """Return which tables have rows, those before others that these refer to."""
        found = {name for (name,) in connection.execute(_FILLED, prepare=True)}
        return [name for name in _TABLES if name in found]

    def _at(self, name: str) -> Postgres:
        return Postgres(Secret(self._server.socket_uri(name)))
