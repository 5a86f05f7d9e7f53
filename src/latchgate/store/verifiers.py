"""Who follows the journal, what was promised about them, and the receipts that were given.

Rule of this file: what receipts rest on is read in one statement each, so that rows, promise and
history are of one snapshot; where the database may be one that was replaced without knowing it,
the transaction writes as well, which only a primary with its standby can commit (§6 rule 3).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.core.location import Postgres
from latchgate.store import schema
from latchgate.store.errors import StoreError
from latchgate.store.journal import Store

KEPT = 1_000
LIVE, LEAVING = "live", "leaving"
_ONLY = 1  # the id of the one row of promise
# PostgreSQL's own name of its history: another one since each promotion, on a primary alone.
_HISTORY = sa.func.substr(sa.func.pg_walfile_name(sa.func.pg_current_wal_lsn()), 1, 8)
_tenants = msgspec.json.Decoder(list[str]).decode


@dataclass(frozen=True, slots=True)
class Follower:
    """One memory that follows the journal: a row of the table `verifier`.

    `trust` is for how many seconds it may believe what it remembers; `stale` says that this is a
    bound that was chosen above its lease, `beat` counts how often it wrote the row.
    """

    incarnation: str
    kind: str
    node: str
    process: int
    program: str
    schema: str
    trust: float
    stale: bool
    acknowledged: int
    beat: int
    state: str
    joined_at: float
    seen_at: float
    tenants: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Following:
    """Everybody who follows, as of one snapshot.

    `history` names the history that numbers and acknowledgements belong to; `settled` says that
    nobody can trust what they remember of an earlier one. Times are seconds.
    """

    followers: tuple[Follower, ...]
    head: int
    epoch: str
    timeline: str
    settled: bool
    max_trust: float
    gateway_tail: float

    @property
    def history(self) -> tuple[str, str]:
        """What numbers belong to: changed by a restore and by each promotion."""
        return self.epoch, self.timeline


@dataclass(frozen=True, slots=True)
class NotedReceipt:
    """A receipt as it is kept: `verifiers` are as the management API shows them."""

    n: int
    at: float
    elapsed: float
    acknowledged: int
    verifiers: tuple[dict[str, Any], ...]


class Verifiers:
    """The tables about verifiers of one database; StoreError from any method when it fails."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._replaceable = isinstance(store.database, Postgres)

    def listed(self) -> Following:
        """List live and leaving rows in a new transaction, proven to be of the true primary."""
        if not self._replaceable:
            return self.looked()
        with self._store.writing() as connection:
            # A write, for its commit: a primary that was cut off and replaced answers reads.
            connection.execute(
                sa.update(schema.promise).values(gateway_tail=schema.promise.c.gateway_tail)
            )
            return self._read(connection)

    def looked(self) -> Following:
        """Read the same without that proof: what is acknowledged there is acknowledged."""
        with self._store.reading() as connection:
            return self._read(connection)

    def _read(self, connection: sa.Connection) -> Following:
        # One statement: rows of another snapshot than the history would prove nothing of it.
        rows = connection.execute(_FOLLOWING_PG if self._replaceable else _FOLLOWING).all()
        if not rows:
            msg = "the database holds no journal; run latchgate init"
            raise StoreError(msg)
        first = rows[0]
        return Following(
            followers=tuple(_follower(row) for row in rows if row.incarnation is not None),
            head=first.n,
            epoch=first.epoch,
            timeline=first.history,
            settled=bool(first.settled) and first.timeline == first.history,
            max_trust=first.max_trust,
            gateway_tail=first.gateway_tail,
        )

    def expel(self, one: Follower) -> None:
        """Mark a row as leaving, unless it was written since it was read."""
        table = schema.verifier
        with self._store.writing() as connection:
            connection.execute(
                sa.update(table)
                .where(
                    table.c.incarnation == one.incarnation,
                    table.c.state == LIVE,
                    table.c.beat == one.beat,
                )
                .values(state=LEAVING)
            )

    def remove(self, one: Follower) -> None:
        """Delete a leaving row: the caller knows that 1.25 × its trust has passed since."""
        table = schema.verifier
        with self._store.writing() as connection:
            connection.execute(
                sa.delete(table).where(
                    table.c.incarnation == one.incarnation, table.c.state == LEAVING
                )
            )

    def adopt(self) -> None:
        """Write down the history that there is, when another is written there: not settled."""
        if not self._replaceable:
            return  # a file has one history: a restore alone begins another, and says so
        promise, verifier = schema.promise, schema.verifier
        with self._store.writing() as connection:
            adopted = connection.execute(
                sa.update(promise)
                .where(promise.c.timeline != _HISTORY)
                .values(timeline=_HISTORY, settled=False)
            )
            if adopted.rowcount:
                # What was acknowledged was so of another history (rule 15).
                connection.execute(sa.update(verifier).values(acknowledged=0))

    def settle(self, seen: Following) -> None:
        """Say that nobody trusts an earlier history, unless there is a newer one by now.

        The caller knows that it was as in `seen` for 1.25 × the longest trust of all.
        """
        promise, head = schema.promise, schema.journal_head
        same = sa.exists().where(head.c.epoch == seen.epoch)
        with self._store.writing() as connection:
            connection.execute(
                sa.update(promise)
                .where(
                    promise.c.timeline == seen.timeline,
                    promise.c.max_trust == seen.max_trust,
                    same,
                )
                .values(settled=True)
            )

    def note(self, receipts: Sequence[NotedReceipt]) -> None:
        """Keep receipts, and let go of the oldest beyond `KEPT`."""
        table = schema.receipt
        rows = [
            {
                "id": secrets.token_hex(8),
                "n": one.n,
                "at": one.at,
                "elapsed": one.elapsed,
                "acknowledged": one.acknowledged,
                "verifiers": msgspec.json.encode(one.verifiers).decode(),
            }
            for one in receipts
        ]
        newest = sa.select(table.c.at).order_by(table.c.at.desc()).limit(1).offset(KEPT)
        with self._store.writing() as connection:
            connection.execute(sa.insert(table), rows)
            connection.execute(sa.delete(table).where(table.c.at <= newest.scalar_subquery()))

    def noted(self, limit: int) -> list[NotedReceipt]:
        """Return the last receipts, newest first."""
        table = schema.receipt
        statement = sa.select(table).order_by(table.c.at.desc(), table.c.id).limit(limit)
        with self._store.reading() as connection:
            return [
                NotedReceipt(
                    n=row.n,
                    at=row.at,
                    elapsed=row.elapsed,
                    acknowledged=row.acknowledged,
                    verifiers=tuple(msgspec.json.decode(row.verifiers)),
                )
                for row in connection.execute(statement)
            ]


def _following(history: sa.ColumnElement[str]) -> sa.Select[Any]:
    head, promise, verifier = schema.journal_head, schema.promise, schema.verifier
    return (
        sa.select(
            head.c.n,
            head.c.epoch,
            promise.c.max_trust,
            promise.c.gateway_tail,
            promise.c.timeline,
            promise.c.settled,
            history.label("history"),
            *verifier.c,
        )
        .select_from(head.join(promise, promise.c.id == _ONLY).outerjoin(verifier, sa.true()))
        .order_by(verifier.c.node, verifier.c.process, verifier.c.incarnation)
    )


_FOLLOWING = _following(schema.promise.c.timeline)
_FOLLOWING_PG = _following(_HISTORY)


def _follower(row: sa.Row[Any]) -> Follower:
    return Follower(
        incarnation=row.incarnation,
        kind=row.kind,
        node=row.node,
        process=row.process,
        program=row.program,
        schema=row.schema,
        trust=row.trust,
        stale=bool(row.stale),
        acknowledged=row.acknowledged,
        beat=row.beat,
        state=row.state,
        joined_at=row.joined_at,
        seen_at=row.seen_at,
        tenants=None if row.tenants is None else tuple(_tenants(row.tenants)),
    )
