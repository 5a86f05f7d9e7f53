"""Edges: verifiers that follow the journal over HTTP, each with a row of its own as a node has.

Rule of this file: an edge is told of the tenants that it serves and of what is no tenant's, and of
nothing else; a record of another tenant is as if it were absent (ARCHITECTURE §6 rules 2, 3, 9).
Its row is its credential's: whoever comes with another can't acknowledge for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.core.feed import (
    FORMAT,
    PAGE,
    READABLE,
    FeedBeat,
    FeedBeaten,
    FeedPlace,
    FeedPolicy,
    FeedRecords,
    FeedRecordsThrough,
    FeedRegistered,
    FeedRegistration,
    FeedWantedThrough,
    read_noun,
)
from latchgate.core.model import (
    Key,
    Noun,
)
from latchgate.manage.actor import Caller
from latchgate.manage.edge_records import Tenants, seen_by
from latchgate.manage.errors import ForbiddenError, InvalidError
from latchgate.store import schema
from latchgate.store.edge_reads import timeline
from latchgate.store.errors import ConflictError
from latchgate.store.journal import GENESIS, Store

EVERY_TENANT = "verifier:follow-all"
MAX_EDGES = 100  # rows of one credential: each is one more that receipts wait for
OWN_TRUST = 60.0  # seconds; a tenant's edge must not keep everybody's receipts for longer
KIND = "edge"
_VERIFIER, _PROMISE = schema.verifier, schema.promise
_HEAD, _JOURNAL, _POLICY = schema.journal_head, schema.journal, schema.policy_version
# What belongs to one tenant; whatever else changes is told to every edge.
_BOUND = (Noun.CREDENTIAL, Noun.USER, Noun.TENANT, Noun.PROJECT, Noun.ROLE, Noun.LOGIN)
_TOLD = sorted({*READABLE, Noun.POLICY, Noun.DATABASE})
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(frozenset[str] | None).decode
_files = msgspec.json.Decoder(dict[str, str]).decode


@dataclass(frozen=True, slots=True)
class Edge:
    """One edge's row as it may be used now; `tenants` None stands for every one."""

    incarnation: str
    tenants: Tenants


def may_follow(caller: Caller, wanted: Collection[str] | None) -> Tenants:
    """Return the tenants to serve: those wanted, or all that the caller may follow (None: every).

    ForbiddenError where one of them is not the caller's own and they may not follow others.
    """
    if EVERY_TENANT in caller.rights:
        return frozenset(wanted) if wanted is not None else None
    own = frozenset({caller.tenant_id})
    if wanted is not None and not own.issuperset(wanted):
        msg = (
            f"this credential follows its own tenant {caller.tenant_id}; more takes {EVERY_TENANT}"
        )
        raise ForbiddenError(msg)
    return own


def register(
    store: Store, caller: Caller, asked: FeedRegistration, *, issuer: str | None, now: float
) -> FeedRegistered:
    """Add a row for an edge's new memory, and say where it begins. It gives no trust.

    InvalidError where the format, a tenant or the trust can't be; ForbiddenError as `may_follow`;
    ConflictError when there is such a row, or are too many of this credential.
    """
    tenants = _admitted(caller, asked)
    with store.writing() as connection:
        _check(connection, caller, tenants)
        place = _head(connection)
        row = {
            "incarnation": asked.incarnation,
            "kind": KIND,
            "node": asked.node,
            "process": asked.process,
            "program": asked.program,
            "schema": f"feed {FORMAT}",
            "trust": asked.trust,
            "stale": asked.stale,
            "acknowledged": 0,  # a receipt waits for the first heartbeat
            "beat": 0,
            "state": "live",
            "joined_at": now,
            "seen_at": now,
            "tenants": _encode(sorted(tenants)).decode() if tenants is not None else None,
            "credential_id": caller.credential.source_id,
        }
        _promise_longer(connection, asked.trust)
        connection.execute(sa.insert(_VERIFIER).values(row))
        version, history = _version(connection), timeline(connection)
    return FeedRegistered(
        place=place,
        policy_version=version,
        timeline=history,
        tenants=sorted(tenants) if tenants is not None else None,
        issuer=issuer,
    )


def promise(store: Store, caller: Caller, asked: FeedRegistration) -> bool:
    """Have it known for how long a new edge will trust, before it is registered.

    True where that is longer than for anybody before: it may register once that is known to all
    who give receipts, who wait for so long where they can't list anybody. Raises as `register`.
    """
    _admitted(caller, asked)
    longest = sa.select(_PROMISE.c.max_trust)
    with store.reading() as connection:
        before: float = connection.execute(longest).scalar_one()
    if before >= asked.trust:
        return False
    with store.writing() as connection:
        _promise_longer(connection, asked.trust)
    return before > 0


def _promise_longer(connection: sa.Connection, trust: float) -> None:
    """Have whoever can't list the verifiers wait for as long as one of them may trust."""
    longer = _PROMISE.c.max_trust < trust
    connection.execute(sa.update(_PROMISE).where(longer).values(max_trust=trust))


def _admitted(caller: Caller, asked: FeedRegistration) -> Tenants:
    """Return whom an edge serves, where it may register; raises as `register`."""
    if asked.format != FORMAT:
        raise InvalidError([("format", f"must be {FORMAT}; run the same latchgate on both sides")])
    tenants = may_follow(caller, asked.tenants)
    if asked.trust > OWN_TRUST and EVERY_TENANT not in caller.rights:
        raise InvalidError([("trust", f"must be {OWN_TRUST:.0f} s or less without {EVERY_TENANT}")])
    return tenants


def _check(connection: sa.Connection, caller: Caller, tenants: Tenants) -> None:
    """Refuse tenants that there are not, and one row more than a credential may have."""
    if tenants is not None:
        table = schema.tenant
        known = connection.execute(sa.select(table.c.id).where(table.c.id.in_(tenants))).scalars()
        unknown = sorted(tenants - set(known))
        if unknown:
            raise InvalidError([("tenants", f"there is no tenant with the id {unknown[0]}")])
    mine = _VERIFIER.c.credential_id == caller.credential.source_id
    counted = sa.select(sa.func.count()).select_from(_VERIFIER).where(mine)
    if connection.execute(counted).scalar_one() >= MAX_EDGES:
        raise ConflictError(f"{MAX_EDGES} edges follow with this credential; use another")


def beat(
    store: Store, caller: Caller, incarnation: str, asked: FeedBeat, *, now: float
) -> FeedBeaten | None:
    """Acknowledge where an edge is and read on, in one committed transaction (§6 rule 3).

    None when its row is not live any more, or this history does not hold that place, or is another.
    """
    with store.writing() as connection:
        history = timeline(connection)
        if asked.timeline != history:
            return None
        edge = _alive(connection, caller, incarnation, now, since=asked.since)
        if edge is None:
            return None
        head = _head(connection)
        position = asked.since.position
        changes = _changes(connection, edge.tenants, position, head.position)
        reached = len(changes) < PAGE
        place = head if reached else _place(connection, head.epoch, changes[-1][0])
    return FeedBeaten(
        nonce=asked.nonce,
        place=place,
        changes=changes,
        reached=reached,
        timeline=history,
        age=0.0,  # read in the database itself: nobody had it for a while
    )


def records(
    store: Store, caller: Caller, incarnation: str, keys: Sequence[Key]
) -> FeedRecords | None:
    """Return records as an edge sees them, with what a decision needs besides, in one snapshot.

    None when its row is not live any more.
    """
    with store.reading() as connection:
        edge = _found(connection, caller, incarnation)
        if edge is None:
            return None
        number, history = _head(connection).position, timeline(connection)
        told = seen_by(connection, edge.tenants, keys)
    return FeedRecords(number, history, told)


def prove(
    store: Store, caller: Caller, incarnation: str, asked: FeedWantedThrough, *, now: float
) -> FeedRecordsThrough | None:
    """Return records as of a committed transaction that wrote the edge's row (§6 rule 7).

    None when that is not live any more.
    """
    with store.writing() as connection:
        edge = _alive(connection, caller, incarnation, now, since=None)
        if edge is None:
            return None
        number, version = _head(connection).position, _version(connection)
        told = seen_by(connection, edge.tenants, keys_of(asked.keys))
    return FeedRecordsThrough(asked.nonce, number, version, told)


def keys_of(told: Iterable[tuple[str, str]]) -> list[Key]:
    """Read the keys of records; InvalidError names the one that no verifier reads."""
    keys: list[Key] = []
    for index, (noun, record_id) in enumerate(told):
        try:
            keys.append((read_noun(noun), record_id))
        except ValueError as error:
            raise InvalidError([(f"keys[{index}]", str(error))]) from error
    return keys


def leave(store: Store, caller: Caller, incarnation: str) -> None:
    """Delete an edge's row: nothing is decided with its memory any more (§6 rule 10)."""
    mine = _mine(caller, incarnation)
    with store.writing() as connection:
        connection.execute(sa.delete(_VERIFIER).where(*mine))


def policy(store: Store, version: int | None) -> FeedPolicy | None:
    """Return a version of the policy, the newest unless told; None where there is no such."""
    wanted = sa.select(_POLICY.c.version, _POLICY.c.files)
    if version is not None:
        wanted = wanted.where(_POLICY.c.version == version)
    with store.reading() as connection:
        number, history = _head(connection).position, timeline(connection)
        row = connection.execute(wanted.order_by(_POLICY.c.version.desc()).limit(1)).one_or_none()
    if row is None:
        return FeedPolicy(0, {}, number, history) if not version else None
    return FeedPolicy(row.version, _files(row.files), number, history)


def head(store: Store) -> int:
    """Return the number of the journal's last row."""
    with store.reading() as connection:
        return _head(connection).position


def _version(connection: sa.Connection) -> int:
    newest: int | None = connection.execute(sa.select(sa.func.max(_POLICY.c.version))).scalar_one()
    return newest or 0


def _mine(caller: Caller, incarnation: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        _VERIFIER.c.incarnation == incarnation,
        _VERIFIER.c.kind == KIND,
        _VERIFIER.c.credential_id == caller.credential.source_id,
    )


def _alive(
    connection: sa.Connection,
    caller: Caller,
    incarnation: str,
    now: float,
    *,
    since: FeedPlace | None,
) -> Edge | None:
    """Write an edge's row, with what it acknowledges; None where it is not live, or lost its place.

    Place and row are looked at by the very statement that writes: neither can change in between.
    """
    where = [*_mine(caller, incarnation), _VERIFIER.c.state == "live"]
    values: dict[str, Any] = {"beat": _VERIFIER.c.beat + 1, "seen_at": now}
    if since is not None:
        where.append(_holds(since))
        known = _VERIFIER.c.acknowledged
        values["acknowledged"] = sa.case(
            (known < since.position, sa.literal(since.position, sa.BigInteger)), else_=known
        )
    statement = sa.update(_VERIFIER).where(*where).values(values).returning(_VERIFIER.c.tenants)
    row = connection.execute(statement).one_or_none()
    return _edge(caller, incarnation, row.tenants) if row is not None else None


def _found(connection: sa.Connection, caller: Caller, incarnation: str) -> Edge | None:
    where = [*_mine(caller, incarnation), _VERIFIER.c.state == "live"]
    row = connection.execute(sa.select(_VERIFIER.c.tenants).where(*where)).one_or_none()
    return _edge(caller, incarnation, row.tenants) if row is not None else None


def _edge(caller: Caller, incarnation: str, tenants: str | None) -> Edge:
    """Return an edge with its row's tenants; ForbiddenError when those are too many by now."""
    told = _decode(tenants) if tenants is not None else None
    if told is None and EVERY_TENANT not in caller.rights:
        raise ForbiddenError(f"this edge follows every tenant, which takes {EVERY_TENANT}")
    return Edge(incarnation, may_follow(caller, told))


def _holds(place: FeedPlace) -> sa.ColumnElement[bool]:
    """Whether this history holds a place: the epoch, and the hash of the row there."""
    told = bytes.fromhex(place.hash)
    same = sa.exists().where(_HEAD.c.epoch == place.epoch)
    if not place.position:
        return same if told == GENESIS else sa.false()
    there = sa.exists().where(_JOURNAL.c.n == place.position, _JOURNAL.c.hash == told)
    return sa.and_(same, there)


def _head(connection: sa.Connection) -> FeedPlace:
    row = connection.execute(sa.select(_HEAD.c.epoch, _HEAD.c.n, _HEAD.c.hash)).one()
    return FeedPlace(row.epoch, row.n, bytes(row.hash).hex())


def _place(connection: sa.Connection, epoch: str, position: int) -> FeedPlace:
    told = connection.execute(sa.select(_JOURNAL.c.hash).where(_JOURNAL.c.n == position))
    return FeedPlace(epoch, position, bytes(told.scalar_one()).hex())


def _changes(
    connection: sa.Connection, tenants: Tenants, after: int, until: int
) -> list[tuple[int, str, str]]:
    wanted = sa.select(_JOURNAL.c.n, _JOURNAL.c.noun, _JOURNAL.c.record).where(
        _JOURNAL.c.n > after, _JOURNAL.c.n <= until, _JOURNAL.c.noun.in_(_TOLD)
    )
    if tenants is not None:
        theirs = sa.or_(_JOURNAL.c.tenant_id.is_(None), _JOURNAL.c.tenant_id.in_(sorted(tenants)))
        wanted = wanted.where(sa.or_(_JOURNAL.c.noun.not_in(_BOUND), theirs))
    rows = connection.execute(wanted.order_by(_JOURNAL.c.n).limit(PAGE))
    return [(row.n, row.noun, row.record) for row in rows]
