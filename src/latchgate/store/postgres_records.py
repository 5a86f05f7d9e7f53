"""The statements that records take of PostgreSQL, and the records that come of them.

Rule of this file: it only says what to ask and reads what came back; in which transaction that is
asked is its caller's (`postgres_feed.py`, `edge_reads.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import psycopg

from latchgate.core.model import Key, Login, Noun, Record
from latchgate.store import rows
from latchgate.store.postgres import faults, results_of
from latchgate.store.rows import Row


class _Related(NamedTuple):
    """Credentials `c` that were asked for, by themselves or through their login."""

    asked: Noun
    source: str
    where: str


_RELATED = (
    _Related(Noun.CREDENTIAL, "credential c", "c.id = ANY(%(credential)s::text[])"),
    _Related(
        Noun.LOGIN,
        "login_credential l JOIN credential c ON c.id = l.credential_id",
        "l.login_id = ANY(%(login)s::text[])",
    ),
)


class _Table(NamedTuple):
    """A table of records, and how what a credential needs of it hangs on the credential `c`."""

    noun: Noun
    table: str
    columns: str
    made: Callable[[Row], Record]
    joined: str | None = None


_TABLES = (
    _Table(Noun.CREDENTIAL, "credential", rows.CREDENTIAL, rows.credential, "t.id = c.parent_id"),
    _Table(Noun.TENANT, "tenant", rows.TENANT, rows.tenant, "t.id = c.tenant_id"),
    _Table(Noun.PROJECT, "project", rows.PROJECT, rows.project, "t.id = c.project_id"),
    _Table(
        Noun.ROLE,
        "role",
        rows.ROLE,
        rows.role,
        "t.id IN (SELECT role_id FROM role_assignment a"
        " WHERE a.user_id = c.owner_id AND a.project_id = c.project_id)",
    ),
    _Table(
        Noun.APPLICATION,
        "application",
        rows.APPLICATION,
        rows.application,
        "t.id = c.application_id",
    ),
    _Table(Noun.APPLICATION_KEY, "application_key", rows.APPLICATION_KEY, rows.application_key),
    _Table(Noun.SIGNING_KEY, "signing_key", rows.SIGNING_KEY, rows.signing_key),
)
_LOGINS = (
    "SELECT id, user_id FROM login WHERE id = ANY(%(login)s::text[]);"
    " SELECT login_id, kind, credential_id FROM login_credential"
    " WHERE login_id = ANY(%(login)s::text[])"
)


class Reading:
    """The statements that some records take, and the records that came of them.

    A credential comes with what it needs, as far as it is one step away: else each step would be
    a round trip. Statements are joins on keys: they are planned anew each time.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = tuple(keys)
        nouns = (*(one.noun for one in _TABLES), Noun.USER, Noun.LOGIN)
        asked: dict[Noun, list[str]] = {noun: [] for noun in nouns}
        for noun, record_id in self._keys:
            asked[noun].append(record_id)
        self._asked = asked
        self._related = [one for one in _RELATED if asked[one.asked]]
        self.told = {str(noun): ids for noun, ids in asked.items()}
        statements = []
        self._tables = []
        for one in _TABLES:
            parts = self._parts(one.table, one.columns, one.noun, one.joined)
            if one.noun is Noun.CREDENTIAL and asked[Noun.LOGIN]:
                parts.append(_selected("c", one.columns, _RELATED[1].source, _RELATED[1].where))
            if one.noun is Noun.APPLICATION and asked[Noun.APPLICATION_KEY]:
                where = "k.id = ANY(%(application_key)s::text[])"
                source = "application_key k JOIN application t ON t.id = k.application_id"
                parts.append(_selected("t", one.columns, source, where))
            if parts:
                self._tables.append(one)
                statements.append(" UNION ALL ".join(parts))
        self._people = bool(self._related or asked[Noun.USER])
        if self._people:
            statements += [" UNION ALL ".join(parts) for parts in self._people_parts()]
        if asked[Noun.LOGIN]:
            statements.append(_LOGINS)
        self.text = "".join(f"{one};" for one in statements)

    def _parts(self, table: str, columns: str, noun: Noun, joined: str | None) -> list[str]:
        parts = []
        if self._asked[noun]:
            parts.append(_selected("t", columns, f"{table} t", f"t.id = ANY(%({noun})s::text[])"))
        if joined is not None:
            parts += [
                _selected("t", columns, f"{one.source} JOIN {table} t ON {joined}", one.where)
                for one in self._related
            ]
        return parts

    def _people_parts(self) -> Iterator[list[str]]:
        yield self._parts("account", rows.USER, Noun.USER, "t.id = c.owner_id")
        for table, columns in (
            ("role_assignment", "user_id, project_id, role_id"),
            ("application_block", "user_id, application_id"),
        ):
            parts = [
                _selected(
                    "t",
                    columns,
                    f"{one.source} JOIN {table} t ON t.user_id = c.owner_id",
                    one.where,
                )
                for one in self._related
            ]
            if self._asked[Noun.USER]:
                where = "t.user_id = ANY(%(user)s::text[])"
                parts.append(_selected("t", columns, f"{table} t", where))
            yield parts

    def records(self, results: Sequence[Sequence[Row]]) -> dict[Key, Record | None]:
        """Make records of the statements' results; None for each that was asked and isn't there."""
        found: dict[Key, Record | None] = dict.fromkeys(self._keys)
        left = list(results)
        for one in self._tables:
            for row in left.pop(0):
                found[one.noun, row[0]] = one.made(row)
        if self._people:
            people, roles, blocks = left[:3]
            del left[:3]
            held, blocked = _grouped(roles), _grouped(blocks)
            for row in people:
                found[Noun.USER, row[0]] = rows.user(
                    row,
                    ((project_id, role_id) for project_id, role_id in held.get(row[0], ())),
                    (application_id for (application_id,) in blocked.get(row[0], ())),
                )
        if self._asked[Noun.LOGIN]:
            logins, credentials = left
            named = _grouped(credentials)
            for login_id, user_id in logins:
                kinds = dict(named.get(login_id, ()))
                found[Noun.LOGIN, login_id] = Login(id=login_id, user_id=user_id, credentials=kinds)
        return found


def _selected(alias: str, columns: str, source: str, where: str) -> str:
    listed = ", ".join(f"{alias}.{column}" for column in columns.split(", "))
    return f"SELECT {listed} FROM {source} WHERE {where}"  # noqa: S608 - words of our own


def _grouped(pairs: Iterable[Row]) -> dict[str, list[Any]]:
    """Return the rest of each row by its first column."""
    found: dict[str, list[Any]] = {}
    for first, *rest in dict.fromkeys(map(tuple, pairs)):
        found.setdefault(first, []).append(tuple(rest))
    return found


def read_within(
    connection: psycopg.Connection[Any], keys: Sequence[Key]
) -> dict[Key, Record | None]:
    """Read records, and what goes with them, inside a transaction under way."""
    reading = Reading(keys)
    cursor = psycopg.ClientCursor(connection)
    with faults():
        cursor.execute(reading.text.encode(), reading.told)
        return reading.records(results_of(cursor))
