"""The statements of the verify path, written once and run on the driver itself.

A point read takes 4–7 µs on the driver and 16 through SQLAlchemy (ARCHITECTURE §8), and the
base install, which verifies in process, has no SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from latchgate.core.model import (
    AccessRule,
    Application,
    ApplicationKey,
    Credential,
    Key,
    Login,
    Noun,
    Project,
    Record,
    Role,
    SigningKey,
    Tenant,
    User,
)
from latchgate.core.network import Networks
from latchgate.core.scope import EVERY, Scopes
from latchgate.store.errors import NotMigratedError, StoreError
from latchgate.store.sqlite import Connection, faults

_strings = msgspec.json.Decoder(list[str]).decode
_files = msgspec.json.Decoder(dict[str, str]).decode
_rules = msgspec.json.Decoder(tuple[AccessRule, ...]).decode
_denied = msgspec.json.Decoder(dict[str, float]).decode

_CREDENTIAL = (
    "SELECT id, kind, tenant_id, project_id, owner_id, parent_id, services, scopes, networks,"
    " environment, external_id, digest, created_at, expires_at, revoked_at, issues,"
    " name, roles, access_rules, denied_tokens, tokens_after,"
    " superseded_by, superseded_at, predecessor_id, disabled_at, application_id"
    " FROM credential WHERE id = ?"
)
_USER = (
    "SELECT id, tenant_id, name, active, api, networks, created_at, basic_switched"
    " FROM account WHERE id = ?"
)
_USER_BLOCKS = "SELECT application_id FROM application_block WHERE user_id = ?"
_LOGIN = "SELECT user_id FROM login WHERE id = ?"
_LOGIN_CREDENTIALS = "SELECT kind, credential_id FROM login_credential WHERE login_id = ?"
_APPLICATION = "SELECT id, name, state FROM application WHERE id = ?"
_APPLICATION_KEY = (
    "SELECT id, kind, application_id, user_id, digest, revoked_at, tenants,"
    " expires_at, superseded_by, superseded_at"
    " FROM application_key WHERE id = ?"
)
_USER_ROLES = "SELECT project_id, role_id FROM role_assignment WHERE user_id = ?"
_TENANT = "SELECT id, name, active FROM tenant WHERE id = ?"
_PROJECT = "SELECT id, tenant_id, active, name FROM project WHERE id = ?"
_ROLE = "SELECT id, tenant_id, scopes, implies, name FROM role WHERE id = ?"
_SIGNING_KEY = "SELECT id, purpose, public, retired_at FROM signing_key WHERE id = ?"
_HEAD = "SELECT n, epoch FROM journal_head"
# One statement, so that epoch and rows are of one snapshot; one row of nulls where none is new.
_SINCE = (
    "SELECT epoch, journal.n, noun, record FROM journal_head"
    " LEFT JOIN journal ON journal.n > ? ORDER BY journal.n LIMIT ?"
)
_POLICY = "SELECT version, files FROM policy_version ORDER BY version DESC LIMIT 1"
_SCHEMA = "SELECT version_num FROM alembic_version"
_OLDEST = "SELECT oldest FROM schema_window"
NOT_YET = "this is not a Latchgate database yet; run latchgate init"
PAGE = 1_000
SCHEMA_HEAD = "0008"  # the newest migration; compared at start without loading Alembic


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Records as they stood at one number of the journal; None for one that isn't there."""

    number: int
    records: dict[Key, Record | None]


def read_records(connection: Connection, keys: Iterable[Key]) -> Snapshot:
    """Read records and the journal number of the same snapshot; StoreError when it fails."""
    with faults():
        connection.execute("BEGIN")
        try:
            (number, _), *_rest = connection.execute(_HEAD).fetchall()
            records = {key: _READERS[key[0]](connection, key[1]) for key in keys}
        finally:
            connection.execute("COMMIT")
    return Snapshot(number=number, records=records)


def read_head(connection: Connection) -> tuple[int, str]:
    """Return the journal's head number and its epoch."""
    with faults():
        row = connection.execute(_HEAD).fetchone()
    if row is None:
        msg = "the database holds no journal; run latchgate init"
        raise StoreError(msg)
    return row[0], row[1]


def read_changes(connection: Connection, after: int, *, epoch: str) -> list[tuple[int, Key]] | None:
    """Return up to `PAGE` changes after a number, oldest first, as (number, record changed).

    None when the journal is of another epoch: its numbers say nothing about those known so far.
    """
    with faults():
        rows = connection.execute(_SINCE, (after, PAGE)).fetchall()
    if not rows or rows[0][0] != epoch:
        return None
    return [(n, (Noun(noun), record)) for _, n, noun, record in rows if n is not None]


def read_policy_files(connection: Connection) -> tuple[int, dict[str, str]]:
    """Return the newest policy version and its files; version 0 when none was published."""
    with faults():
        row = connection.execute(_POLICY).fetchone()
    return (row[0], _files(row[1])) if row is not None else (0, {})


def check_schema(connection: Connection, expected: str) -> None:
    """Raise NotMigratedError unless this program may work with the schema of the database.

    It has the one that the program was written for, or one that was added to it since.
    """
    try:
        with faults():
            row = connection.execute(_SCHEMA).fetchone()
    except StoreError as error:
        raise NotMigratedError(NOT_YET) from error
    judge_schema(row, lambda: _oldest(connection), expected)


def judge_schema(
    row: tuple[Any, ...] | None, oldest: Callable[[], str | None], expected: str
) -> None:
    """Judge what `_SCHEMA` found; `oldest` is asked for where that is newer than expected."""
    found = row[0] if row is not None else None
    # Numbers of migrations are compared as text: all have four digits.
    if found is not None and found > expected:
        allowed = oldest()
        if allowed is not None and allowed <= expected:
            return
    if found != expected:
        told = found if found is not None else "none"
        msg = f"the database has schema {told}, this program needs {expected}"
        if found is None or found < expected:
            msg += "; stop what uses it and run latchgate migrate"
        else:
            msg += "; a newer latchgate wrote it, and this one can't read it"
        raise NotMigratedError(msg)


def _oldest(connection: Connection) -> str | None:
    with faults():
        row = connection.execute(_OLDEST).fetchone()
    return row[0] if row is not None else None


def _credential(connection: Connection, record_id: str) -> Credential | None:
    row: tuple[Any, ...] | None = connection.execute(_CREDENTIAL, (record_id,)).fetchone()
    if row is None:
        return None
    return Credential(
        id=row[0],
        kind=row[1],
        tenant_id=row[2],
        project_id=row[3],
        owner_id=row[4],
        parent_id=row[5],
        services=_services(row[6]),
        scopes=Scopes.of(_strings(row[7])),
        networks=Networks.of(_strings(row[8])) if row[8] is not None else None,
        issues=bool(row[15]),
        environment=row[9],
        external_id=row[10],
        digest=bytes(row[11]),
        created_at=row[12],
        expires_at=row[13],
        revoked_at=row[14],
        name=row[16],
        roles=tuple(_strings(row[17])) if row[17] is not None else None,
        access_rules=_rules(row[18]) if row[18] is not None else None,
        denied_tokens=frozenset(_denied(row[19])) if row[19] is not None else frozenset(),
        tokens_after=row[20],
        superseded_by=row[21],
        superseded_at=row[22],
        predecessor_id=row[23],
        disabled_at=row[24],
        application_id=row[25],
    )


def _user(connection: Connection, record_id: str) -> User | None:
    row = connection.execute(_USER, (record_id,)).fetchone()
    if row is None:
        return None
    roles = tuple(connection.execute(_USER_ROLES, (record_id,)).fetchall())
    blocks = connection.execute(_USER_BLOCKS, (record_id,)).fetchall()
    return User(
        id=row[0],
        tenant_id=row[1],
        name=row[2],
        active=bool(row[3]),
        api=bool(row[4]),
        networks=Networks.of(_strings(row[5])) if row[5] is not None else None,
        roles=roles,
        blocked=frozenset(application_id for (application_id,) in blocks),
        created_at=row[6],
        basic_switched=frozenset(_strings(row[7]) if row[7] is not None else ()),
    )


def _login(connection: Connection, record_id: str) -> Login | None:
    row = connection.execute(_LOGIN, (record_id,)).fetchone()
    if row is None:
        return None
    credentials = dict(connection.execute(_LOGIN_CREDENTIALS, (record_id,)).fetchall())
    return Login(id=record_id, user_id=row[0], credentials=credentials)


def _application(connection: Connection, record_id: str) -> Application | None:
    row = connection.execute(_APPLICATION, (record_id,)).fetchone()
    if row is None:
        return None
    return Application(id=row[0], name=row[1], approved=row[2] == "approved")


def _application_key(connection: Connection, record_id: str) -> ApplicationKey | None:
    row = connection.execute(_APPLICATION_KEY, (record_id,)).fetchone()
    if row is None:
        return None
    return ApplicationKey(
        id=row[0],
        kind=row[1],
        application_id=row[2],
        user_id=row[3],
        digest=bytes(row[4]),
        revoked_at=row[5],
        tenants=frozenset(_strings(row[6])) if row[6] is not None else None,
        expires_at=row[7],
        superseded_by=row[8],
        superseded_at=row[9],
    )


def _services(text: str) -> frozenset[str] | None:
    """Read services; `["*"]` stands for every one."""
    names = frozenset(_strings(text))
    return None if EVERY in names else names


def _tenant(connection: Connection, record_id: str) -> Tenant | None:
    row = connection.execute(_TENANT, (record_id,)).fetchone()
    return Tenant(id=row[0], name=row[1], active=bool(row[2])) if row is not None else None


def _project(connection: Connection, record_id: str) -> Project | None:
    row = connection.execute(_PROJECT, (record_id,)).fetchone()
    if row is None:
        return None
    return Project(id=row[0], tenant_id=row[1], active=bool(row[2]), name=row[3])


def _role(connection: Connection, record_id: str) -> Role | None:
    row = connection.execute(_ROLE, (record_id,)).fetchone()
    if row is None:
        return None
    return Role(
        id=row[0],
        tenant_id=row[1],
        scopes=Scopes.of(_strings(row[2])),
        implies=tuple(_strings(row[3])),
        name=row[4],
    )


def _signing_key(connection: Connection, record_id: str) -> SigningKey | None:
    row = connection.execute(_SIGNING_KEY, (record_id,)).fetchone()
    if row is None:
        return None
    return SigningKey(id=row[0], purpose=row[1], public=bytes(row[2]), retired_at=row[3])


_READERS: dict[Noun, Callable[[Connection, str], Record | None]] = {
    Noun.CREDENTIAL: _credential,
    Noun.USER: _user,
    Noun.TENANT: _tenant,
    Noun.PROJECT: _project,
    Noun.ROLE: _role,
    Noun.LOGIN: _login,
    Noun.APPLICATION: _application,
    Noun.APPLICATION_KEY: _application_key,
    Noun.SIGNING_KEY: _signing_key,
}
