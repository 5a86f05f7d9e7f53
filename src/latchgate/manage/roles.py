"""Roles: named sets of scopes, which may imply lower roles."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.core.scope import Scopes
from latchgate.store import schema
from latchgate.store.journal import Change


def add(
    change: Change, role_id: str, tenant_id: str, name: str, scopes: Scopes, implies: Iterable[str]
) -> int:
    """Write a new role inside a change; returns the journal number."""
    row = {
        "id": role_id,
        "tenant_id": tenant_id,
        "name": name,
        "scopes": scopes.listed(),
        "implies": list(implies),
        "created_at": change.at,
    }
    return change.add("role.create", Noun.ROLE, schema.role, row, tenant_id=tenant_id)


def assign(change: Change, tenant_id: str, user_id: str, project_id: str, role_id: str) -> int:
    """Give a user a role in a project inside a change; returns the journal number."""
    told = {"user_id": user_id, "project_id": project_id, "role_id": role_id}
    change.execute(sa.insert(schema.role_assignment).values(**told))
    return change.note(
        "role.assign", Noun.USER, user_id, tenant_id=tenant_id, detail={"after": told}
    )
