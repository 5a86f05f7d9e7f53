"""Projects of a tenant, in which roles are held."""

from __future__ import annotations

from latchgate.core.model import Noun
from latchgate.store import schema
from latchgate.store.journal import Change


def add(change: Change, project_id: str, tenant_id: str, name: str) -> int:
    """Write a new project inside a change; returns the journal number."""
    row = {
        "id": project_id,
        "tenant_id": tenant_id,
        "name": name,
        "active": True,
        "created_at": change.at,
    }
    return change.add("project.create", Noun.PROJECT, schema.project, row, tenant_id=tenant_id)
