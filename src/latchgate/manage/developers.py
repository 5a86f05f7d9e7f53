"""What a developer does with the token that their request was answered with, and nothing else.

Rule of this file: the token is compared before anything is told, and an application that does not
exist is told like a wrong token. The key of an application is issued to its developer, who picks it
up: the operator who approves it never sees it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
import sqlalchemy as sa

from latchgate.core.kinds import ApplicationKeyKind, Issued, Spec
from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.core.secret import same
from latchgate.manage import application_keys
from latchgate.manage.application_keys import Place, StoredApplicationKey
from latchgate.manage.applications import State, StoredApplication, found, token_digest
from latchgate.manage.errors import InvalidError, NotFoundError, UnprovenError
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Actor, Change, Store

MAX_KEYS = 1_000  # that stand at once, for one application


class Target(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Whom it is for: the one user with this id, or every user where none is told."""

    user_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None


class Reissue(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """For whom a key is replaced, as in `Target`, and how long the old one works on.

    `grace` is a duration of at most 90 days; at once unless told, as for a key that leaked.
    """

    user_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    grace: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class Standing(msgspec.Struct, frozen=True):
    """An application as its developer sees it: its keys, and for whom it was withdrawn."""

    application: StoredApplication
    keys: list[StoredApplicationKey]
    withdrawn_for: list[str]


class Proof(msgspec.Struct, frozen=True):
    """Which application a caller says is theirs, the token that proves it, and their address."""

    application_id: str
    token: str
    address: str | None

    def __repr__(self) -> str:
        return f"Proof({self.application_id})"

    @property
    def actor(self) -> Actor:
        """How the journal names them."""
        return Actor(f"developer:{self.application_id}", None, address=self.address)


def standing(store: Store, policy: Policy, proof: Proof, *, now: float) -> Standing:
    """Return how an application stands; UnprovenError unless the token is its developer's."""
    block = schema.application_block
    with store.reading() as connection:
        application = _proven(connection, proof)
        keys = application_keys.of_application(connection, policy, application.id, now=now)
        withdrawn = connection.execute(
            sa.select(block.c.user_id)
            .where(block.c.application_id == application.id, block.c.blocked_by == "developer")
            .order_by(block.c.at, block.c.user_id)
        ).scalars()
        return Standing(application, keys, list(withdrawn))


def issue_key(
    store: Store,
    policy: Policy,
    proof: Proof,
    user_id: str | None,
    *,
    replace: int | None,
    entropy: Callable[[int], bytes],
) -> tuple[StoredApplicationKey, Issued, int]:
    """Issue the key of an approved application, for every user or for one.

    With `replace` the one before works on for so many seconds, and with 0 all before are revoked at
    once; without, ConflictError when there is one.
    Returns the key, its secret and the journal number that verifiers must reach.
    """
    kind = key_kind(policy)
    issued = kind.issue(Spec(service=""), entropy(kind.entropy_bytes))
    with store.change(proof.actor) as change:
        application = _proven(change.connection, proof)
        if application.state != State.APPROVED:
            raise ConflictError(f"It is {application.state}; only what is approved has keys.")
        if user_id is not None:
            _tenant_of(change.connection, user_id)
        place = Place(application.id, kind.name, user_id)
        application_keys.make_room(change, place, issued.id, replace=replace, most=MAX_KEYS)
        key, n = application_keys.insert(change, place, issued)
        return key, issued, n


def withdraw(store: Store, proof: Proof, user_id: str | None) -> tuple[StoredApplication, int]:
    """Withdraw an application at once and for good: for every user, or for one.

    A repeated one has its receipt waited for again. Returns the application and the journal number.
    """
    with store.change(proof.actor) as change:
        application = _proven(change.connection, proof)
        if user_id is not None:
            return application, _withdraw_for(change, application.id, user_id)
        if application.state == State.WITHDRAWN:
            return application, _head(change)
        after = {
            "state": str(State.WITHDRAWN),
            "decided_at": change.at,
            "decided_by": change.actor.name,
        }
        n = change.alter(
            "application.withdraw",
            Noun.APPLICATION,
            schema.application,
            msgspec.structs.asdict(application),
            after,
            tenant_id=None,
        )
        return msgspec.structs.replace(application, **after, version=n), n


def _withdraw_for(change: Change, application_id: str, user_id: str) -> int:
    tenant_id = _tenant_of(change.connection, user_id)
    block = schema.application_block
    row = {"user_id": user_id, "application_id": application_id, "blocked_by": "developer"}
    there = sa.select(block.c.at).where(*(block.c[name] == value for name, value in row.items()))
    if change.execute(there).one_or_none() is not None:
        return _head(change)
    change.execute(sa.insert(block).values(**row, at=change.at))
    return change.note(
        "application.block", Noun.USER, user_id, tenant_id=tenant_id, detail={"after": row}
    )


def _proven(connection: sa.Connection, proof: Proof) -> StoredApplication:
    table = schema.application
    wanted = sa.select(table.c.owner_digest).where(table.c.id == proof.application_id)
    stored = connection.execute(wanted).scalar_one_or_none()
    if stored is None or not same(bytes(stored), token_digest(proof.token)):
        msg = "send the token that the request was answered with, as Authorization: Bearer"
        raise UnprovenError(msg)
    return found(connection, proof.application_id)


def _tenant_of(connection: sa.Connection, user_id: str) -> str:
    wanted = sa.select(schema.user.c.tenant_id).where(schema.user.c.id == user_id)
    tenant_id: str | None = connection.execute(wanted).scalar_one_or_none()
    if tenant_id is None:
        raise InvalidError([("user_id", f"there is no user {user_id[:64]!r}")])
    return tenant_id


def key_kind(policy: Policy) -> ApplicationKeyKind:
    """Return the kind of key that applications have; NotFoundError when no provider has one."""
    for kind in policy.kinds.values():
        if isinstance(kind, ApplicationKeyKind):
            return kind
    raise NotFoundError("no provider of the published policy has application keys")


def _head(change: Change) -> int:
    n: int = change.execute(sa.select(schema.journal_head.c.n)).scalar_one()
    return n
