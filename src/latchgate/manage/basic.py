"""What may be sent with a login name: app passwords, and account passwords for some areas."""

from __future__ import annotations

import sqlalchemy as sa

from latchgate.core.basic import canonical_login
from latchgate.core.model import Noun
from latchgate.core.scope import ALL
from latchgate.store import schema
from latchgate.store.journal import Change


def login_id(namespace: str, name: str) -> str:
    """Return the id under which a login name is found in its namespace."""
    return f"{namespace}:{canonical_login(name)}"


def add_login(change: Change, tenant_id: str, user_id: str, namespace: str, name: str) -> str:
    """Write a login name inside a change; returns its id. ConflictError when it is taken."""
    made = login_id(namespace, name)
    row = {"id": made, "user_id": user_id, "created_at": change.at}
    change.execute(sa.insert(schema.login).values(**row))
    change.note("login.create", Noun.LOGIN, made, tenant_id=tenant_id, detail={"after": row})
    return made


def give(
    change: Change,
    *,
    kind: str,
    credential_id: str,
    digest: bytes,
    hint: str,
    login: str,
    owner: tuple[str, str, str],
) -> int:
    """Write a password as the one that a login has of its kind; `owner`: tenant, project, user.

    The one before is revoked. Returns the last journal number.
    """
    tenant_id, project_id, owner_id = owner
    link = schema.login_credential
    here = sa.and_(link.c.login_id == login, link.c.kind == kind)
    before = change.execute(sa.select(link.c.credential_id).where(here)).scalar_one_or_none()
    if before is not None:
        change.execute(sa.delete(link).where(here))
        change.alter(
            "basic.revoke",
            Noun.CREDENTIAL,
            schema.credential,
            {"id": before, "revoked_at": None},
            {"revoked_at": change.at},
            tenant_id=tenant_id,
        )
    row: dict[str, object] = {
        "id": credential_id,
        "kind": kind,
        "tenant_id": tenant_id,
        "project_id": project_id,
        "owner_id": owner_id,
        "parent_id": None,
        "name": login,
        "description": "",
        "services": ["*"],
        "scopes": ALL.listed(),
        "networks": None,
        "environment": None,
        "external_id": None,
        "metadata": {},
        "digest": digest,
        "hint": hint,
        "created_at": change.at,
        "created_by": change.actor.name,
        "expires_at": None,
        "revoked_at": None,
        "issues": False,
    }
    change.add("basic.create", Noun.CREDENTIAL, schema.credential, row, tenant_id=tenant_id)
    change.execute(sa.insert(link).values(login_id=login, kind=kind, credential_id=credential_id))
    told = {"after": {"kind": kind, "credential_id": credential_id}}
    return change.note("login.change", Noun.LOGIN, login, tenant_id=tenant_id, detail=told)
