"""What shall happen when a secret is proven to have leaked: a tenant's rules, by kind.

Rule of this file: what has no rule is revoked. An application key has none, for it only ever tells.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import sqlalchemy as sa

from latchgate.core.kinds import AnyKind, ApplicationKeyKind, ImportedKey
from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.manage.actor import Caller
from latchgate.manage.errors import InvalidError
from latchgate.store import schema
from latchgate.store.journal import Store

EVERY = "*"  # a rule's kind: every one that has no rule of its own
Action = Literal["revoke", "notify"]


class LeakRuleSpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What shall happen when a secret of a kind is proven to have leaked."""

    action: Action


class LeakRule(msgspec.Struct, frozen=True):
    """A tenant's rule for a kind, or for every other (`*`)."""

    kind: str
    action: str
    version: int


def rules(store: Store, caller: Caller) -> list[LeakRule]:
    """Return the rules of the caller's tenant; what has none is revoked."""
    table = schema.leak_rule
    mine = sa.select(table.c.kind, table.c.action, table.c.version).where(
        table.c.tenant_id == caller.tenant_id
    )
    with store.reading() as connection:
        return [LeakRule(*row) for row in connection.execute(mine.order_by(table.c.kind))]


def set_rule(
    store: Store, policy: Policy, caller: Caller, kind: str, spec: LeakRuleSpec
) -> LeakRule:
    """Say what shall happen when a secret of a kind leaks; InvalidError where there is no such."""
    known = kinds(policy)
    if kind != EVERY and kind not in known:
        raise InvalidError([("kind", f"must be {EVERY} or one of {', '.join(known)}")])
    table = schema.leak_rule
    row = {
        "id": f"{caller.tenant_id}:{kind}",
        "tenant_id": caller.tenant_id,
        "kind": kind,
        "action": spec.action,
    }
    with store.change(caller.actor) as change:
        found = change.execute(sa.select(table).where(table.c.id == row["id"])).mappings().first()
        if found is None:
            n = change.add(
                "leak_rule.create", Noun.LEAK_RULE, table, row, tenant_id=caller.tenant_id
            )
        elif found["action"] == spec.action:
            n = found["version"]
        else:
            after = {"action": spec.action}
            n = change.alter(
                "leak_rule.change",
                Noun.LEAK_RULE,
                table,
                dict(found),
                after,
                tenant_id=caller.tenant_id,
            )
    return LeakRule(kind, spec.action, n)


def kinds(policy: Policy) -> list[str]:
    """Return the kinds of a policy that a rule may be set for."""
    return sorted(name for name, one in policy.kinds.items() if _may_be_revoked(one))


def _may_be_revoked(kind: AnyKind) -> bool:
    """Whether a leaked secret of a kind can be proven, and is not in every copy of a program."""
    if isinstance(kind, ApplicationKeyKind):
        return False
    return kind.leak is not None or isinstance(kind, ImportedKey)
