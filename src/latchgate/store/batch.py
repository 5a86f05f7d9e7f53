"""One batch of counters: what is written of each, into every table that is derived from them.

Rule of this file: one transaction writes minutes, hours and days, so that each table is exact by
itself and no roll-up can be lost or done twice. How a database is given many rows at once is its
own (store/usage_sqlite.py, store/usage_postgres.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from latchgate.core.network import Address
from latchgate.core.reason import Reason
from latchgate.core.redact import Redactor
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
_ANY: _Source = (None, "")
_spelled = lru_cache(maxsize=8_192)(Address.__str__)
_TOTAL = (
    "INSERT INTO use_total (counted, area, reason, count) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (counted, area, reason) DO UPDATE SET count = use_total.count + excluded.count"
)


class Batch:
    """Writes batches on one connection, inside the caller's transaction."""

    def __init__(self, database: UsageDatabase, redact: Redactor) -> None:
        self._database = database
        self._redact = redact
        self.wording = redact.learnt  # another one where more secrets are masked
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
        if row is None or count.wording != self.wording:
            credential = count.credential
            source = _ANY if credential is None else self._source(credential.source_id, count)
            row = self._describe(count, source or _ANY)
            if source is not None:
                count.row, count.wording = row, self.wording
        return row

    def _describe(self, count: Count, source: _Source) -> Row:
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
        client, told = source
        millionths, currency = (price if count.reason is Reason.ALLOWED else None) or (0, "")
        return (
            credential.tenant_id,
            credential.project_id,
            credential.source_id,
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

    def _source(self, credential_id: str, count: Count) -> _Source | None:
        """Return from where and with what; None where this minute had enough of a credential."""
        source = count.client, count.agent
        first = self._source_of.setdefault(credential_id, source)
        if source == first:
            return source
        known = self._sources.setdefault(credential_id, {first})
        if source not in known:
            if len(known) >= SOURCES_A_MINUTE:
                return None
            known.add(source)
        return source

    def forget(self) -> None:
        """Begin another minute of sources; word all anew where more is known to be a secret."""
        if self.wording != self._redact.learnt:
            self.wording = self._redact.learnt
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
