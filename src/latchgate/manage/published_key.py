"""The application "test": a key that a provider's documentation prints, for some tenants alone.

Rule of this file: everybody knows such a key, so it opens nothing until an operator says for whose
users, and nothing for anybody else's. It is a key and an application like any other, which can be
blocked and suspended. Source: the sample requests of providers/teracloud.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.manage.actor import Caller
from latchgate.manage.applications import State
from latchgate.manage.developers import key_kind
from latchgate.manage.errors import InvalidError
from latchgate.manage.keys import Name
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Change, Store, stored

TEST_ID = "app-test"
_KEYS = schema.application_key


class PublishedKeySpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A published key, and the tenants whose users may ask with it; none: nobody may."""

    api_key: Annotated[str, msgspec.Meta(max_length=64)]
    tenants: Annotated[list[Name], msgspec.Meta(max_length=100)]

    def __repr__(self) -> str:
        return f"PublishedKeySpec({self.tenants})"


class PublishedKey(msgspec.Struct, frozen=True):
    """The test key as stored: its public id, its application, whose users may ask with it."""

    id: str
    application_id: str
    tenants: list[str]


def set_published_key(
    store: Store, policy: Policy, caller: Caller, spec: PublishedKeySpec
) -> tuple[PublishedKey, int]:
    """Let the users of exactly these tenants ask with a published key; the one before ends.

    Returns it and the journal number that verifiers must reach. InvalidError names the field,
    ConflictError says that the key is another application's.
    """
    kind = key_kind(policy)
    try:
        issued = kind.given(spec.api_key)
    except ValueError as error:
        raise InvalidError([("api_key", str(error))]) from error
    tenants = sorted(set(spec.tenants))
    with store.change(caller.actor) as change:
        _check(change.connection, tenants)
        _make_application(change)
        wanted = sa.select(_KEYS).where(_KEYS.c.id == issued.id)
        found = change.execute(wanted).mappings().one_or_none()
        if found is not None and found["application_id"] != TEST_ID:
            raise ConflictError("This key is another application's, so it is no test key.")
        n = _end_others(change, issued.id)
        after = {"tenants": tenants, "revoked_at": None}
        if found is None:
            row = {
                "id": issued.id,
                "kind": kind.name,
                "application_id": TEST_ID,
                "user_id": None,
                "digest": issued.digest,
                "created_at": change.at,
                "created_by": change.actor.name,
                **after,
            }
            noun = Noun.APPLICATION_KEY
            n = change.add("application_key.create", noun, _KEYS, row, tenant_id=None)
        else:
            before = stored(found)
            if any(before[name] != value for name, value in after.items()):
                n = _alter(change, "application_key.change", before, after)
        return PublishedKey(issued.id, TEST_ID, tenants), n


def shown(store: Store) -> PublishedKey | None:
    """Return the test key that stands; None where there is none."""
    wanted = sa.select(_KEYS).where(_KEYS.c.application_id == TEST_ID, _KEYS.c.revoked_at.is_(None))
    with store.reading() as connection:
        found = connection.execute(wanted).mappings().one_or_none()
    if found is None:
        return None
    return PublishedKey(found["id"], TEST_ID, stored(found)["tenants"] or [])


def _check(connection: sa.Connection, tenants: list[str]) -> None:
    table = schema.tenant
    known = connection.execute(sa.select(table.c.id).where(table.c.id.in_(tenants))).scalars().all()
    unknown = [one for one in tenants if one not in known]
    if unknown:
        raise InvalidError([("tenants", f"there is no tenant {unknown[0][:64]!r}")])


def _make_application(change: Change) -> None:
    table = schema.application
    if change.execute(sa.select(table.c.id).where(table.c.id == TEST_ID)).one_or_none() is not None:
        return
    row = {
        "id": TEST_ID,
        "name": "test",
        "vendor": "test",
        "contact": "",
        "purpose": "The key that the provider's documentation prints",
        "developer": "open_source",
        "state": str(State.APPROVED),
        "reason": "set by the operator",
        "owner_digest": b"",  # nobody's token: no text has an empty digest
        "created_at": change.at,
        "decided_at": change.at,
        "decided_by": change.actor.name,
    }
    change.add("application.create", Noun.APPLICATION, table, row, tenant_id=None)


def _end_others(change: Change, key_id: str) -> int:
    """Revoke the key that stood before; the journal's head where none did."""
    alive = sa.select(_KEYS).where(
        _KEYS.c.application_id == TEST_ID, _KEYS.c.revoked_at.is_(None), _KEYS.c.id != key_id
    )
    n: int = change.execute(sa.select(schema.journal_head.c.n)).scalar_one()
    for row in change.execute(alive).mappings().all():
        n = _alter(change, "application_key.revoke", dict(row), {"revoked_at": change.at})
    return n


def _alter(
    change: Change, action: str, before: Mapping[str, object], after: Mapping[str, object]
) -> int:
    noun = Noun.APPLICATION_KEY
    return change.alter(action, noun, _KEYS, before, after, tenant_id=None)
