"""Rows of the verify path as records, whichever database they come from.

Rule of this file: the order of a row is that of its columns here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from sys import intern
from typing import Any

import msgspec

from latchgate.core.model import (
    AccessRule,
    Application,
    ApplicationKey,
    Credential,
    Key,
    Project,
    Record,
    Role,
    SigningKey,
    Tenant,
    User,
)
from latchgate.core.network import Networks
from latchgate.core.scope import EVERY, Scopes

_strings = msgspec.json.Decoder(list[str]).decode
_rules = msgspec.json.Decoder(tuple[AccessRule, ...]).decode
_denied = msgspec.json.Decoder(dict[str, float]).decode
files_of = msgspec.json.Decoder(dict[str, str]).decode

CREDENTIAL = (
    "id, kind, tenant_id, project_id, owner_id, parent_id, services, scopes, networks,"
    " environment, external_id, digest, created_at, expires_at, revoked_at, issues,"
    " name, roles, access_rules, denied_tokens, tokens_after,"
    " superseded_by, superseded_at, predecessor_id, disabled_at, application_id"
)
USER = "id, tenant_id, name, active, api, networks, created_at, basic_switched"
APPLICATION = "id, name, state"
APPLICATION_KEY = (
    "id, kind, application_id, user_id, digest, revoked_at, tenants,"
    " expires_at, superseded_by, superseded_at"
)
TENANT = "id, name, active"
PROJECT = "id, tenant_id, active, name"
ROLE = "id, tenant_id, scopes, implies, name"
SIGNING_KEY = "id, purpose, public, retired_at"

Row = Sequence[Any]
_ALIKE = 1_024
_NOTHING = frozenset[str]()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Records as they stood at one number of the journal; None for one that isn't there.

    `timeline` names the history that the number is of, where a database may have several.
    """

    number: int
    records: dict[Key, Record | None]
    timeline: str = ""


def credential(row: Row) -> Credential:
    """Read a row of `CREDENTIAL`."""
    return Credential(
        id=row[0],
        kind=intern(row[1]),
        tenant_id=intern(row[2]),
        project_id=intern(row[3]),
        owner_id=intern(row[4]),
        parent_id=row[5],
        services=_services(row[6]),
        scopes=_scopes(row[7]),
        networks=_networks(row[8]) if row[8] is not None else None,
        issues=bool(row[15]),
        environment=intern(row[9]) if row[9] is not None else None,
        external_id=row[10],
        digest=bytes(row[11]),
        created_at=row[12],
        expires_at=row[13],
        revoked_at=row[14],
        name=row[16],
        roles=tuple(_strings(row[17])) if row[17] is not None else None,
        access_rules=_rules(row[18]) if row[18] is not None else None,
        denied_tokens=frozenset(_denied(row[19])) if row[19] is not None else _NOTHING,
        tokens_after=row[20],
        superseded_by=row[21],
        superseded_at=row[22],
        predecessor_id=row[23],
        disabled_at=row[24],
        application_id=row[25],
    )


def user(row: Row, roles: Iterable[tuple[str, str]], blocked: Iterable[str]) -> User:
    """Read a row of `USER` with its (project, role) pairs and the applications it blocks."""
    return User(
        id=row[0],
        tenant_id=row[1],
        name=row[2],
        active=bool(row[3]),
        api=bool(row[4]),
        networks=Networks.of(_strings(row[5])) if row[5] is not None else None,
        roles=tuple(roles),
        blocked=frozenset(blocked),
        created_at=row[6],
        basic_switched=frozenset(_strings(row[7]) if row[7] is not None else ()),
    )


def application(row: Row) -> Application:
    """Read a row of `APPLICATION`."""
    return Application(id=row[0], name=row[1], approved=row[2] == "approved")


def application_key(row: Row) -> ApplicationKey:
    """Read a row of `APPLICATION_KEY`."""
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


def tenant(row: Row) -> Tenant:
    """Read a row of `TENANT`."""
    return Tenant(id=row[0], name=row[1], active=bool(row[2]))


def project(row: Row) -> Project:
    """Read a row of `PROJECT`."""
    return Project(id=row[0], tenant_id=row[1], active=bool(row[2]), name=row[3])


def role(row: Row) -> Role:
    """Read a row of `ROLE`."""
    return Role(
        id=row[0],
        tenant_id=row[1],
        scopes=_scopes(row[2]),
        implies=tuple(_strings(row[3])),
        name=row[4],
    )


def signing_key(row: Row) -> SigningKey:
    """Read a row of `SIGNING_KEY`."""
    return SigningKey(id=row[0], purpose=row[1], public=bytes(row[2]), retired_at=row[3])


# What many rows spell alike is read once, and is one object in all the records that are remembered.


@lru_cache(_ALIKE)
def _scopes(text: str) -> Scopes:
    return Scopes.of(_strings(text))


@lru_cache(_ALIKE)
def _networks(text: str) -> Networks:
    return Networks.of(_strings(text))


@lru_cache(_ALIKE)
def _services(text: str) -> frozenset[str] | None:
    """Read services; `["*"]` stands for every one."""
    names = frozenset(_strings(text))
    return None if EVERY in names else names
