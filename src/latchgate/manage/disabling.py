"""Credentials switched off for a while, and on again: by whoever manages them, or by a job.

Rule of this file: switching off needs nothing but the right to manage keys; whoever switches one on
hands it out again, and must hold what making it would take.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.manage.actor import Caller
from latchgate.manage.records import ANY, IfMatch, alter, find
from latchgate.manage.renewal import may_renew
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Change, Store

_TABLE = schema.credential
# Basic has a switch of its own, which a login goes with.
_SORTS = ("service_key", "imported_key", "api_token", "access_key")


def disable(
    store: Store,
    caller: Caller,
    credential_id: str,
    *clauses: sa.ColumnElement[bool],
    match: IfMatch = ANY,
) -> tuple[str, int, int]:
    """Switch a credential of the tenant off at once, with all that stands below it.

    `clauses` say which of the tenant's are meant, where not every one is. Returns its id, its
    version and the journal number that verifiers must reach. A repeated one changes nothing
    and has its receipt waited for again. NotFoundError, StaleError; ConflictError for one that is
    revoked.
    """
    with store.change(caller.actor) as change:
        row = _found(change, caller, credential_id, clauses, match)
        disabled_at = change.at if row["disabled_at"] is None else row["disabled_at"]
        return _switched(change, row, "disable", disabled_at)


def enable(
    store: Store,
    policy: Policy,
    caller: Caller,
    credential_id: str,
    *clauses: sa.ColumnElement[bool],
    match: IfMatch = ANY,
) -> tuple[str, int, int]:
    """Switch a credential of the tenant on again; see `disable`.

    ForbiddenError when the caller may not make one like it, ConflictError when it has ended.
    """
    with store.change(caller.actor) as change:
        row = _found(change, caller, credential_id, clauses, match)
        if row["expires_at"] is not None and change.at >= row["expires_at"]:
            raise ConflictError(f"{row['id']!r} has expired; make a new one.")
        may_renew(change.connection, policy, caller, row, expires_at=row["expires_at"])
        return _switched(change, row, "enable", None)


def _found(
    change: Change,
    caller: Caller,
    credential_id: str,
    clauses: tuple[sa.ColumnElement[bool], ...],
    match: IfMatch,
) -> dict[str, Any]:
    sorts = sa.or_(*(_TABLE.c.kind.like(f"%.{sort}") for sort in _SORTS))
    whose = (_TABLE.c.tenant_id == caller.tenant_id, sorts, *clauses)
    row = find(change.connection, _TABLE, credential_id, *whose, noun="key", match=match)
    if row["revoked_at"] is not None:
        raise ConflictError(f"{row['id']!r} is revoked, which is for good; make a new one.")
    return row


def _switched(
    change: Change, row: dict[str, Any], verb: str, disabled_at: float | None
) -> tuple[str, int, int]:
    n = alter(
        change,
        f"key.{verb}",
        Noun.CREDENTIAL,
        _TABLE,
        row,
        {"disabled_at": disabled_at},
        tenant_id=row["tenant_id"],
    )
    return row["id"], row["version"], n
