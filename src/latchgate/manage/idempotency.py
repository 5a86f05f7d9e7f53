"""Creations that may be sent twice: a repeat finds what the first one made.

Rule of this file: the key is kept in the transaction that makes the record, so that there is
never one without the other; what is kept is a digest of the request and the record's id, never a
secret. Not for bodies that hold a secret which a person chose: a fast digest of it could be
guessed from.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec
import sqlalchemy as sa

from latchgate.manage.actor import Caller
from latchgate.manage.errors import InvalidError
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Change, Store

KEPT_SECONDS = 86_400.0
FIELD = "Idempotency-Key"
_encode = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Once:
    """A request to be done once: the caller's key for it, and a digest of the route and body."""

    key: str
    request: bytes

    @classmethod
    def of(cls, key: str, route: str, body: object) -> Once:
        """Digest a request; two bodies that read the same are the same."""
        return cls(key, hashlib.sha256(route.encode() + b"\n" + _encode(body)).digest())


def recall(store: Store, caller: Caller, once: Once | None, now: float) -> str | None:
    """Return the id of what this request made before, None when it is new.

    InvalidError when the key was used for another request.
    """
    if once is None:
        return None
    with store.reading() as connection:
        return _recall(connection, caller, once, now)


def recall_in(change: Change, caller: Caller, once: Once | None) -> str | None:
    """Return the same inside a change, at its own time."""
    return _recall(change.connection, caller, once, change.at) if once is not None else None


def remember(change: Change, caller: Caller, once: Once | None, record: str) -> None:
    """Keep, in the change that makes it, what a request made; ConflictError if it just was.

    What is older than a day goes.
    """
    if once is None:
        return
    table = schema.idempotency
    change.execute(sa.delete(table).where(table.c.at <= change.at - KEPT_SECONDS))
    if _recall(change.connection, caller, once, change.at) is not None:
        msg = f"a request with this {FIELD} came at the same moment; send it again"
        raise ConflictError(msg)
    change.execute(
        sa.insert(table).values(
            owner_id=caller.owner.id,
            key=once.key,
            request=once.request,
            record=record,
            at=change.at,
        )
    )


def _recall(connection: sa.Connection, caller: Caller, once: Once, now: float) -> str | None:
    table = schema.idempotency
    found = connection.execute(
        sa.select(table.c.request, table.c.record).where(
            table.c.owner_id == caller.owner.id,
            table.c.key == once.key,
            table.c.at > now - KEPT_SECONDS,
        )
    ).one_or_none()
    if found is None:
        return None
    if bytes(found.request) != once.request:
        raise InvalidError([(FIELD, "was used for another request; take a new one")])
    record: str = found.record
    return record
