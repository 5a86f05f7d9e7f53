"""Secrets of OAuth2 clients: made, replaced with a grace, revoked.

Rule of this file: a secret is a key of its client's application, of a kind of its own, so that it
is rotated as every key of an application is; it is shown once, to whoever has it made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
import sqlalchemy as sa

from latchgate.core.kinds import ClientSecret, Issued, Spec
from latchgate.core.policy import Policy
from latchgate.manage import application_keys
from latchgate.manage.actor import Caller
from latchgate.manage.application_keys import TABLE, Place, StoredApplicationKey, stored_key
from latchgate.manage.errors import InvalidError, NotFoundError
from latchgate.manage.idempotency import Once, recall_in, remember
from latchgate.manage.records import ANY, IfMatch, find
from latchgate.manage.rotation_terms import read_grace
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Change, Store

MAX_SECRETS = 5  # that stand at once, in the graces of those before


class SecretSpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How long the secret before works on: a duration of at most 90 days; at once unless told."""

    grace: Annotated[str, msgspec.Meta(max_length=64)] | None = None


def renew(
    store: Store,
    policy: Policy,
    caller: Caller,
    client_id: str,
    spec: SecretSpec,
    *,
    match: IfMatch = ANY,
    entropy: Callable[[int], bytes],
    once: Once | None = None,
) -> tuple[StoredApplicationKey, Issued | None, int]:
    """Make a new secret of a confidential client, in the place of the one before if there is one.

    Returns it, its text and the journal number that verifiers must reach. A repeat of `once` finds
    it as it is, without its text. InvalidError, NotFoundError, StaleError; ConflictError for a
    public client, one that was withdrawn, or where too many are in their grace.
    """
    faults: list[tuple[str, str]] = []
    grace = read_grace(spec.grace, faults) if spec.grace is not None else 0
    if faults or grace is None:
        raise InvalidError(faults)
    kind = _kind(policy)
    issued = kind.issue(Spec(service=""), entropy(kind.entropy_bytes))
    with store.change(caller.actor) as change:
        before = recall_in(change, caller, once)
        if before is not None:
            return _made_before(change, before)
        remember(change, caller, once, issued.id)
        place = _place(change.connection, kind, client_id, match=match, stands=True)
        application_keys.make_room(change, place, issued.id, replace=grace, most=MAX_SECRETS)
        key, n = application_keys.insert(change, place, issued)
    return key, issued, n


def revoke(
    store: Store, policy: Policy, caller: Caller, client_id: str, secret_id: str
) -> tuple[StoredApplicationKey, int]:
    """Revoke one secret at once; returns it and the journal number that verifiers must reach.

    A repeated one changes nothing and has its receipt waited for again. NotFoundError.
    """
    kind = _kind(policy)
    with store.change(caller.actor) as change:
        place = _place(change.connection, kind, client_id)
        wanted = sa.select(TABLE).where(
            TABLE.c.id == secret_id,
            TABLE.c.application_id == place.application_id,
            TABLE.c.kind == place.kind,
        )
        row = change.execute(wanted).mappings().one_or_none()
        if row is None:
            raise NotFoundError(f"the client has no secret {secret_id[:64]!r}")
        key = stored_key(row)
        if key.revoked_at is not None:
            n: int = change.execute(sa.select(schema.journal_head.c.n)).scalar_one()
            return key, n
        n = application_keys.revoke(change, dict(row))
    return msgspec.structs.replace(key, revoked_at=change.at), n


def add(
    change: Change, policy: Policy, application_id: str, *, entropy: Callable[[int], bytes]
) -> Issued:
    """Make the first secret of a new client inside a change, whose application may have others.

    What a client before it left behind ends.
    """
    kind = _kind(policy)
    issued = kind.issue(Spec(service=""), entropy(kind.entropy_bytes))
    place = Place(application_id, kind.name)
    application_keys.make_room(change, place, issued.id, replace=0, most=MAX_SECRETS)
    application_keys.insert(change, place, issued)
    return issued


def revoke_all(change: Change, policy: Policy, application_id: str) -> None:
    """Revoke every secret of an application inside a change."""
    place = Place(application_id, _kind(policy).name)
    alive = sa.select(TABLE).where(application_keys.standing(change.at, place))
    for row in change.execute(alive).mappings().all():
        application_keys.revoke(change, dict(row))


def listed(
    connection: sa.Connection, policy: Policy, application_id: str, *, now: float
) -> list[StoredApplicationKey]:
    """Return the secrets that an application's client can prove itself with, the newest last."""
    return application_keys.listed(connection, Place(application_id, _kind(policy).name), now=now)


def _made_before(change: Change, secret_id: str) -> tuple[StoredApplicationKey, None, int]:
    row = change.execute(sa.select(TABLE).where(TABLE.c.id == secret_id)).mappings().one()
    head: int = change.execute(sa.select(schema.journal_head.c.n)).scalar_one()
    return stored_key(row), None, head


def _kind(policy: Policy) -> ClientSecret:
    for kind in policy.kinds.values():
        if isinstance(kind, ClientSecret):
            return kind
    raise NotFoundError("no provider of the published policy has OAuth2 clients")


def _place(
    connection: sa.Connection,
    kind: ClientSecret,
    client_id: str,
    *,
    match: IfMatch = ANY,
    stands: bool = False,
) -> Place:
    """Return where a client's secrets are kept; `stands` where a withdrawn one is refused."""
    row = find(connection, schema.oauth_client, client_id, noun="OAuth2 client", match=match)
    if row["public"]:
        raise ConflictError("It is a public client: it has no secret, as it could keep none.")
    if stands and row["withdrawn_at"] is not None:
        raise ConflictError(f"The client {client_id!r} was withdrawn, which is for good.")
    return Place(row["application_id"], kind.name)
