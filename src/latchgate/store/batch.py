"""One batch of counters: what is written of each, into every table that is derived from them.

Rule of this file: one transaction writes minutes, hours and days, so that each table is exact by
itself and no roll-up can be lost or done twice. How a database is given many rows at once is its
own (store/usage_sqlite.py, store/usage_postgres.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from latchgate.core.network import Address
from latchgate.core.reason import Reason
from latchgate.store.tally import AGENT_READ, Count, Row
from latchgate.store.usage_database import Line, UsageDatabase

HOUR, DAY = 3_600, 86_400
# Tenants together are one more, so that a page of either reads few rows.
EVERYBODY = "*"
AGENT_CHARACTERS = 200
SOURCES_A_MINUTE = 100
_MAX_REMEMBERED = 4_096
Total = tuple[str, str, str]  # what is counted, where, and of which sort
_Source = tuple[Address | None, str]  # from where, and with which program
_spelled = lru_cache(maxsize=8_192)(Address.__str__)
_TOTAL = (
    "INSERT INTO use_total (counted, area, reason, count) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (counted, area, reason) DO UPDATE SET count = use_total.count + excluded.count"
)


class Batch:
    """Writes batches on one connection, inside the caller's transaction."""

    def __init__(self, database: UsageDatabase, redact: Callable[[str], str]) -> None:
        self._database = database
        self._redact = redact
        self._wording = 0
        self._agents: dict[str, str] = {}
        # By credential. Most have one source: a set for each of 100,000 is memory from far.
        self._source_of: dict[str, _Source] = {}
        self._sources: dict[str, set[_Source]] = {}

    def add(self, lines: Sequence[Line]) -> None:
        """Add lines to every table."""
        if lines:
            self._database.add(lines)

    def total(self, numbers: Mapping[Total, int]) -> None:
        """Add to what is counted since the beginning and is no decision."""
        for (counted, where, why), number in sorted(numbers.items()):
            if number:
                self._database.execute(_TOTAL, (counted, where, why, number))

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

    def _source(self, credential_id: str, count: Count) -> _Source:
        source = count.client, count.agent
        first = self._source_of.setdefault(credential_id, source)
        if source == first:
            return source
        known = self._sources.setdefault(credential_id, {first})
        if source not in known:
            if len(known) >= SOURCES_A_MINUTE:
                return None, ""
            known.add(source)
        return source

    def forget(self) -> None:
        """Word everything anew from now on: what is a secret may have been learnt since."""
        self._wording += 1
        self._agents.clear()
        self._source_of.clear()
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
