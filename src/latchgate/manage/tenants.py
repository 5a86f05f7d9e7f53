"""Tenants: isolated customers, made and suspended by the operator."""

from __future__ import annotations

from latchgate.core.model import Noun
from latchgate.store import schema
from latchgate.store.journal import Change


def add(change: Change, tenant_id: str, name: str) -> int:
    """Write a new tenant inside a change; returns the journal number."""
    row = {"id": tenant_id, "name": name, "active": True, "created_at": change.at}
    return change.add("tenant.create", Noun.TENANT, schema.tenant, row, tenant_id=tenant_id)
