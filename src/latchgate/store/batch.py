"""One batch of counters, written into every table that is derived from them.

Rule of this file: one transaction writes minutes, hours and days, so that each table is exact by
itself and no roll-up can be lost or done twice. A whole batch goes in as one JSON value, and from
a table in memory into the others: statements that run without Python's lock, instead of thousands
that hold it between rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from latchgate.core.network import Address
from latchgate.core.price import Price
from latchgate.core.reason import Reason
from latchgate.store.sqlite import Connection

MINUTE, HOUR, DAY = 60, 3_600, 86_400
# Longer agents are cut where a word ends: no part of a secret may be left that nothing masks.
AGENT_READ = 600
AGENT_CHARACTERS = 200
SOURCES_A_BATCH = 100
_MAX_REMEMBERED = 4_096
_encode = msgspec.json.Encoder().encode

# Credential, application key, area, scope, reason, address, agent, tenant, project, price.
Key = tuple[str, str, str, str, Reason, Address | None, str, str, str, Price | None]


class Count:
    """How often a key was seen, first and last when (Unix seconds), and with which application."""

    __slots__ = ("application_id", "first", "last", "times")

    def __init__(self, at: float, application_id: str) -> None:
        self.times = 1
        self.first = self.last = at
        self.application_id = application_id


Counts = dict[Key, Count]

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
    "count",
    "key_id",
    "address",
    "agent",
    "first",
    "last",
)
_OF_USE = _COLUMNS[1:8]
_OF_DAY = _COLUMNS[1:10]
_TABLE = f"CREATE TEMP TABLE batch ({', '.join(_COLUMNS)})"
_EMPTY = "DELETE FROM temp.batch"
# Materialized: otherwise each column would write out and read the row's JSON anew.
_OUT = ", ".join(f"row ->> {n}" for n in range(len(_COLUMNS)))
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
    " first_at = MIN(use_source.first_at, excluded.first_at),"
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
_OF_CREDENTIALS = (
    _roll_up("use_minute", MINUTE, _OF_USE),
    _roll_up("use_hour", HOUR, _OF_USE),
    _roll_up("use_day", DAY, _OF_DAY),
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
        self._agents: dict[str, str] = {}
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute(_TABLE)

    def write(self, minutes: Mapping[int, Counts], dropped: Mapping[str, int]) -> None:
        """Add counts, by minute since 1970, and numbers of what was dropped, by what it was."""
        rows = list(self._rows(minutes))
        if rows:
            execute = self._connection.execute
            execute(_FILL, (_encode(rows).decode(),))
            for statement in _OF_CREDENTIALS:
                execute(statement)
            if any(row[11] for row in rows):
                for statement in _OF_APPLICATIONS:
                    execute(statement)
            execute(_EMPTY)
        for what, number in dropped.items():
            if number:
                self._connection.execute(_DROPPED, (what, number))

    def forget(self) -> None:
        """Forget how agents are worded: what is a secret may have been learnt since."""
        self._agents.clear()

    def _rows(self, minutes: Mapping[int, Counts]) -> Iterator[tuple[object, ...]]:
        sources: dict[str, set[tuple[Address | None, str]]] = {}
        for minute, counts in minutes.items():
            at = minute * MINUTE
            for key, count in counts.items():
                credential, by, area, scope, reason, client, told, tenant, project, price = key
                known = sources.setdefault(credential, set())
                if (client, told) not in known:
                    if len(known) >= SOURCES_A_BATCH:
                        client, told = None, ""
                    else:
                        known.add((client, told))
                yield (
                    at,
                    tenant,
                    project,
                    credential,
                    count.application_id,
                    area,
                    scope,
                    reason,
                    *(price or (0, "")),
                    count.times,
                    by,
                    str(client) if client is not None else "",
                    (self._agents.get(told) or self._agent(told)) if told else "",
                    count.first,
                    count.last,
                )

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
