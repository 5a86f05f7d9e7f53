"""Users of a tenant: people, subaccounts and service users."""

from __future__ import annotations

from typing import Literal

from latchgate.core.model import Noun
from latchgate.store import schema
from latchgate.store.journal import Change

Sort = Literal["main", "sub", "service"]


def add(change: Change, user_id: str, tenant_id: str, name: str, sort: Sort) -> int:
    """Write a new user inside a change; returns the journal number."""
    row = {
        "id": user_id,
        "tenant_id": tenant_id,
        "name": name,
        "active": True,
        "sort": sort,
        "api": True,
        "networks": None,
        "email": None,
        "created_at": change.at,
    }
    return change.add("user.create", Noun.USER, schema.user, row, tenant_id=tenant_id)
