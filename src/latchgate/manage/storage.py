"""The storage of a user: the host of their files, how much it may hold, how much it holds.

Rule of this file: Latchgate stores no files, so all of it is told by whoever does, and nothing is
made up: while there is no node, there is none. Source: providers/teracloud, its REST API.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import sqlalchemy as sa

from latchgate.core.model import Grant, Noun
from latchgate.manage import logins
from latchgate.manage.actor import Caller
from latchgate.manage.errors import InvalidError, NotFoundError
from latchgate.manage.records import ANY, IfMatch, asked
from latchgate.manage.users import own
from latchgate.store import schema
from latchgate.store.journal import Store

TABLE = schema.storage
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_END = r"(?![\s\S])"
# Clients ask this very host next, with the password, so it is a name and at most a port.
Node = Annotated[
    str, msgspec.Meta(max_length=253, pattern=rf"^{_LABEL}(?:\.{_LABEL})+(?::[0-9]{{1,5}})?{_END}")
]
Bytes = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]  # exact in every JSON reader
Code = Annotated[str, msgspec.Meta(pattern=rf"^[0-9A-Za-z]{{1,32}}{_END}")]


class StoragePatch(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What shall change about a user's storage; absent stays, null takes away (RFC 7396)."""

    node: Node | msgspec.UnsetType | None = msgspec.UNSET
    quota: Bytes | msgspec.UnsetType | None = msgspec.UNSET
    used: Bytes | msgspec.UnsetType = msgspec.UNSET
    introduce_code: Code | msgspec.UnsetType | None = msgspec.UNSET


class StoredStorage(msgspec.Struct, frozen=True):
    """The storage of a user: a host, bytes, and the code that they invite others with.

    `version` is 0 while nothing was ever said of it.
    """

    user_id: str
    node: str | None
    quota: int | None
    used: int
    introduce_code: str | None
    version: int


class Program(msgspec.Struct, frozen=True):
    """The application that asks: what its developer said of it, and since when it is approved."""

    name: str
    note: str
    vendor: str
    approved_at: float | None


class Account(msgspec.Struct, frozen=True):
    """What a program is told of the user that it acts for."""

    login: str
    storage: StoredStorage
    program: Program | None


def shown(store: Store, caller: Caller, user_id: str) -> StoredStorage:
    """Return the storage of a user of the actor's tenant; NotFoundError for no such user."""
    with store.reading() as connection:
        own(connection, caller, user_id)
        return _stored(_row(connection, user_id))


def change_storage(
    store: Store, caller: Caller, user_id: str, patch: StoragePatch, *, match: IfMatch = ANY
) -> tuple[StoredStorage, int]:
    """Change the storage of a user; returns it and the journal number.

    NotFoundError, StaleError; InvalidError for a node without a quota.
    """
    tenant_id = caller.tenant_id
    with store.change(caller.actor) as change:
        own(change.connection, caller, user_id)
        row = _row(change.connection, user_id)
        match.check(row["version"])
        after = {name: value for name, value in asked(patch).items() if value != row[name]}
        new = {**row, **after}
        if new["node"] is not None and new["quota"] is None:
            raise InvalidError([("quota", "clients of a node are told its capacity: set one")])
        if not after:
            n: int = change.execute(sa.select(schema.journal_head.c.n)).scalar_one()
            return _stored(row), n
        action, noun = "storage.change", Noun.STORAGE
        if row["version"]:
            n = change.alter(action, noun, TABLE, row, after, tenant_id=tenant_id)
        else:
            n = change.add(action, noun, TABLE, new, tenant_id=tenant_id)
        return _stored({**new, "version": n}), n


def account(store: Store, grant: Grant, namespace: str) -> Account:
    """Return what the program of a grant is told of its user; `namespace` is that of the login.

    NotFoundError when the user is gone since the request was decided.
    """
    owner, application = grant.owner, grant.application
    with store.reading() as connection:
        login = logins.login_of(connection, owner.id, namespace)
        storage = _stored(_row(connection, owner.id))
        program = None
        if application is not None:
            table = schema.application
            wanted = sa.select(table).where(table.c.id == application.id)
            found = connection.execute(wanted).mappings().one_or_none()
            if found is None:
                raise NotFoundError(f"there is no application {application.id!r}")
            program = Program(found["name"], found["purpose"], found["vendor"], found["decided_at"])
    name = login.partition(":")[2] if login is not None else owner.name
    return Account(name, storage, program)


def _row(connection: sa.Connection, user_id: str) -> dict[str, Any]:
    found = connection.execute(sa.select(TABLE).where(TABLE.c.id == user_id))
    row = found.mappings().one_or_none()
    nothing = {"node": None, "quota": None, "used": 0, "introduce_code": None, "version": 0}
    return {"id": user_id, **nothing} if row is None else dict(row)


def _stored(row: dict[str, Any]) -> StoredStorage:
    return StoredStorage(
        user_id=row["id"],
        node=row["node"],
        quota=row["quota"],
        used=row["used"],
        introduce_code=row["introduce_code"],
        version=row["version"],
    )
