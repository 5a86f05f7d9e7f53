"""The one gate for what is handed out: nobody gives more than they hold (ATTACKS D5.38).

What a caller holds is the rights, networks and life of the credential that they came with, and
their own networks; roles and credentials go through here before they are made or widened.
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from latchgate.core.network import Networks
from latchgate.core.scope import Scopes
from latchgate.manage.actor import Caller
from latchgate.manage.errors import ForbiddenError
from latchgate.store import schema
from latchgate.store.journal import stored


def may_hand_out(caller: Caller, scopes: Scopes) -> None:
    """Raise ForbiddenError naming what the caller lacks."""
    lacking = caller.rights.lacking(scopes)
    if lacking:
        msg = f"you don't hold {', '.join(lacking)}, so you can't hand it out"
        raise ForbiddenError(msg)


def may_issue(
    caller: Caller, scopes: Scopes, networks: Networks | None, expires_at: float | None
) -> Networks | None:
    """Return the networks of a credential that a caller makes: those asked for, or their own.

    ForbiddenError when it would be wider, live longer or open more than what it is made with.
    """
    maker = caller.credential
    if not maker.issues:
        msg = "the credential you came with may not make others"
        raise ForbiddenError(msg)
    may_hand_out(caller, scopes)
    if maker.expires_at is not None and (expires_at is None or expires_at > maker.expires_at):
        msg = "a key can't outlive the credential it is made with; give an earlier expiry"
        raise ForbiddenError(msg)
    if networks is None:
        return maker.networks
    for limit in (maker.networks, caller.owner.networks):
        if limit is not None and not networks.within(limit):
            msg = f"you may come from {', '.join(limit.listed()) or 'nowhere'} only, so a key may"
            raise ForbiddenError(msg)
    return networks


def sourced(connection: sa.Connection, caller: Caller) -> Caller:
    """Return a caller with the life and the networks of what their token was minted from.

    A token lasts for minutes or hours; what it makes may last as long as that. ForbiddenError where
    that is gone.
    """
    credential = caller.credential
    if not credential.minted:
        return caller
    table = schema.credential
    wanted = sa.select(table.c.expires_at, table.c.networks, table.c.revoked_at)
    found = connection.execute(wanted.where(table.c.id == credential.source_id))
    row = found.mappings().one_or_none()
    if row is None or row["revoked_at"] is not None:
        raise ForbiddenError("what your token was minted from is gone")
    source = stored(row)
    listed = source["networks"]
    bounds = msgspec.structs.replace(
        credential,
        expires_at=source["expires_at"],
        networks=Networks.of(listed) if listed is not None else None,
    )
    return Caller(msgspec.structs.replace(caller.grant, credential=bounds), caller.address)


def check_depth(connection: sa.Connection, parent_id: str, limit: int) -> None:
    """Refuse a credential that would stand below more than `limit` others, its parent the first.

    A decision looks at so many: what stood deeper would never be let in (ForbiddenError).
    """
    table = schema.credential
    above: str | None = parent_id
    for _ in range(limit):
        parent = sa.select(table.c.parent_id).where(table.c.id == above)
        above = connection.execute(parent).scalar_one_or_none()
        if above is None:
            return
    msg = f"it can stand below {limit} others at most; make it with one further up"
    raise ForbiddenError(msg)
