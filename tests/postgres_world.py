"""Databases in PostgreSQL for `World`: made once, and brought back to their first records after.

Making a database takes longer than most tests; emptying one by TRUNCATE does too.
"""

from __future__ import annotations

import secrets
import time

import psycopg
from tests.postgres import Postgres as Server

from latchgate.core.location import Postgres
from latchgate.core.secret import Secret
from latchgate.manage import setup
from latchgate.store import schema
from latchgate.store.journal import Store
from latchgate.store.migrate import migrate

_TABLES = [table.name for table in schema.main.sorted_tables]
_KEEP = "CREATE SCHEMA kept;" + "".join(
    f'CREATE TABLE kept."{name}" AS TABLE public."{name}";' for name in _TABLES
)
_RESET = "".join(f'DELETE FROM public."{name}";' for name in reversed(_TABLES)) + "".join(
    f'INSERT INTO public."{name}" SELECT * FROM kept."{name}";' for name in _TABLES
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
        self._run(self._template, _KEEP)

    def take(self) -> Postgres:
        """Return a database with its first records, for one world."""
        if self._free:
            name = self._free.pop()
        else:
            self._made += 1
            name = f"{self._template}_{self._made}"
            self._server.create(name, self._template)
        return self._at(name)

    def give_back(self, at: Postgres) -> None:
        """Bring a database back to its first records, for the next world."""
        name = at.uri.reveal().partition("?")[0].rpartition("/")[2]
        self._run(name, _RESET)
        self._free.append(name)

    def _at(self, name: str) -> Postgres:
        return Postgres(Secret(self._server.socket_uri(name)))

    def _run(self, name: str, statements: str) -> None:
        with psycopg.connect(self._server.socket_uri(name)) as connection:
            connection.execute(statements.encode())
