"""One batch of counters, written into every table that is derived from them.

Rule of this file: one transaction writes minutes, hours and days, so that each table is exact by
itself and no roll-up can be lost or done twice. A batch goes into a table in memory, many rows at
once, and from there into the others: statements that run without Python's lock, instead of
thousands that hold it between rows. Rows come in the order of the tables' keys, so that a page of
the database is changed, and written, once for all of its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import msgspec

from latchgate.core.network import Address
from latchgate.core.reason import Reason
from latchgate.store.sqlite import Connection
from latchgate.store.tally import AGENT_READ, MINUTE, Count, Row

HOUR, DAY = 3_600, 86_400
AGENT_CHARACTERS = 200
SOURCES_A_MINUTE = 100
_MAX_REMEMBERED = 4_096
_encode = msgspec.json.Encoder().encode
_spelled = lru_cache(maxsize=8_192)(Address.__str__)

# A minute, what was seen in it, how often, and when last: `_COLUMNS`.
Line = tuple[Any, ...]


_COLUMNS = (
    "at",
    "tenant_id",
    "project_id",
    "credential_id",
    "application_id",
    "area",
    "scope",
    "reason",
    "price",
    "currency",
    "key_id",
    "address",
    "agent",
    "first",
    "count",
    "last",
)
_KEY_ID = _COLUMNS.index("key_id")
_OF_USE = _COLUMNS[1:8]
_OF_DAY = _COLUMNS[1:10]
_TABLE = f"CREATE TEMP TABLE batch ({', '.join(_COLUMNS)})"
_EMPTY = "DELETE FROM temp.batch"
# Materialized: otherwise each column would write out and read the row's JSON anew.
_OUT = ", ".join(f"row ->> {n}" for n in range(len(_COLUMNS)))
_ABREAST = 100
# A third of what JSON costs, and without Python's lock for as long; too few rows go as JSON.
_PLACES = f"({', '.join('?' * len(_COLUMNS))})"
_FILL_ABREAST = f"INSERT INTO temp.batch VALUES {', '.join([_PLACES] * _ABREAST)}"  # noqa: S608 - words of this program
_FILL = (
    "INSERT INTO temp.batch WITH one(row) AS MATERIALIZED (SELECT value FROM json_each(?))"  # noqa: S608 - words of this program
    f" SELECT {_OUT} FROM one"
)


def _roll_up(table: str, seconds: int, columns: tuple[str, ...]) -> str:
    listed = ", ".join(columns)
    return (
        f"INSERT INTO {table} (at, {listed}, count)"  # noqa: S608 - words of this program
        f" SELECT at - at % {seconds}, {listed}, count FROM temp.batch WHERE TRUE"
        f" ON CONFLICT (at, {listed}) DO UPDATE SET count = {table}.count + excluded.count"
    )


_LAST = (
    "INSERT INTO last_use (credential_id, at, address, agent)"  # noqa: S608 - words of this program
    " SELECT {column}, last, NULLIF(address, ''), agent FROM temp.batch"
    f" WHERE reason = '{Reason.ALLOWED}' AND {{column}} <> ''"
    " ON CONFLICT (credential_id)"
    " DO UPDATE SET at = excluded.at, address = excluded.address, agent = excluded.agent"
    " WHERE excluded.at >= last_use.at"
)
_SOURCE = (
    "INSERT INTO use_source (credential_id, address, agent, area, application_id,"  # noqa: S608 - words of this program
    " count, refused, first_at, last_at)"
    " SELECT {column}, address, agent, area, application_id,"
    f" count, CASE reason WHEN '{Reason.ALLOWED}' THEN 0 ELSE count END, first, last"
    " FROM temp.batch"
    " WHERE {column} <> ''"
    " ON CONFLICT (credential_id, address, agent, area, application_id)"
    " DO UPDATE SET count = use_source.count + excluded.count,"
    " refused = use_source.refused + excluded.refused,"
    " last_at = MAX(use_source.last_at, excluded.last_at)"
)
_TOTAL = (
    "INSERT INTO use_total (counted, area, reason, count)"
    " SELECT 'decision', area, reason, count FROM temp.batch WHERE TRUE"
    " ON CONFLICT (counted, area, reason) DO UPDATE SET count = use_total.count + excluded.count"
)
_DROPPED = (
    "INSERT INTO use_total (counted, area, reason, count) VALUES ('dropped', '', ?, ?)"
    " ON CONFLICT (counted, area, reason) DO UPDATE SET count = use_total.count + excluded.count"
)
# Tenants together are one more, so that a page of either reads few rows.
EVERYBODY = "*"
_TENANT = (
    "INSERT INTO use_tenant (at, tenant_id, reason, count)"  # noqa: S608 - words of this program
    f" SELECT at - at % {HOUR}, {{tenant}}, reason, SUM(count) FROM temp.batch WHERE TRUE"
    f" GROUP BY at - at % {HOUR}, {{tenant}}, reason ON CONFLICT (at, tenant_id, reason)"
    " DO UPDATE SET count = use_tenant.count + excluded.count"
)
_OF_CREDENTIALS = (
    _roll_up("use_minute", MINUTE, _OF_USE),
    _roll_up("use_hour", HOUR, _OF_USE),
    _roll_up("use_day", DAY, _OF_DAY),
    _TENANT.format(tenant="tenant_id"),
    _TENANT.format(tenant=f"'{EVERYBODY}'"),
    _TOTAL,
    _LAST.format(column="credential_id"),
    _SOURCE.format(column="credential_id"),
)
_OF_APPLICATIONS = (
    _LAST.format(column="application_id"),
    _LAST.format(column="key_id"),
    _SOURCE.format(column="key_id"),
)


class Batch:
    """Writes batches on one connection, inside the caller's transaction."""

    def __init__(self, connection: Connection, redact: Callable[[str], str]) -> None:
        self._connection = connection
        self._redact = redact
        self._wording = 0
        self._agents: dict[str, str] = {}
        self._sources: dict[str, set[tuple[Address | None, str]]] = {}
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute(_TABLE)

    def add(self, lines: Sequence[Line]) -> None:
        """Add lines to every table, in the order of their credentials."""
        if not lines:
            return
        execute = self._connection.execute
        whole = len(lines) - len(lines) % _ABREAST
        for at in range(0, whole, _ABREAST):
            execute(_FILL_ABREAST, tuple(chain.from_iterable(lines[at : at + _ABREAST])))
        if whole < len(lines):
            execute(_FILL, (_encode(lines[whole:]).decode(),))
        for statement in _OF_CREDENTIALS:
            execute(statement)
        if any(line[_KEY_ID] for line in lines):
            for statement in _OF_APPLICATIONS:
                execute(statement)
        execute(_EMPTY)

    def drop(self, dropped: Mapping[str, int]) -> None:
        """Add numbers of what was dropped, by what it was."""
        for what, number in dropped.items():
            if number:
                self._connection.execute(_DROPPED, (what, number))

    def describe(self, count: Count) -> Row:
        """Return what a count is of, in columns; agents without secrets."""
        row = count.row
        if row is None or count.wording != self._wording:
            row = count.row = self._describe(count)
            count.wording = self._wording
        return row

    def _describe(self, count: Count) -> Row:
        area, rule, reason = count.area, count.rule, count.reason.value
        credential, grant = count.credential, count.grant
        scope, price = "", None
        if rule is not None and rule.scope is not None:
            scope, price = rule.scope, rule.price
        path = area.path if area is not None else ""
        if credential is None:
            return ("", "", "", "", path, scope, reason, 0, "", "", "", "", count.first)
        by = application = ""
        if grant is not None and grant.application is not None:
            by, application = grant.application_key_id, grant.application.id
        known = credential.source_id
        client, told = self._source(known, count)
        millionths, currency = (price if count.reason is Reason.ALLOWED else None) or (0, "")
        return (
            credential.tenant_id,
            credential.project_id,
            known,
            application,
            path,
            scope,
            reason,
            millionths,
            currency,
            by,
            _spelled(client) if client is not None else "",
            (self._agents.get(told) or self._agent(told)) if told else "",
            count.first,
        )

    def _source(self, credential_id: str, count: Count) -> tuple[Address | None, str]:
        source = count.client, count.agent
        known = self._sources.setdefault(credential_id, set())
        if source not in known:
            if len(known) >= SOURCES_A_MINUTE:
                return None, ""
            known.add(source)
        return source

    def forget(self) -> None:
        """Word everything anew from now on: what is a secret may have been learnt since."""
        self._wording += 1
        self._agents.clear()
        self._sources.clear()

    def _agent(self, told: str) -> str:
        """Return what may be kept of a `user-agent`: printable, masked, short."""
        kept = told
        if len(told) > AGENT_READ:
            kept = told[:AGENT_READ].rpartition(" ")[0]
        kept = self._redact("".join(filter(str.isprintable, kept)))[:AGENT_CHARACTERS]
        if len(self._agents) >= _MAX_REMEMBERED:
            self._agents.clear()
        self._agents[told] = kept
        return kept
