"""Who may make a credential like one that there is: to rotate it, or to switch it on again.

Rule of this file: nobody gets by renewing what they could not make (ATTACKS D5.38, D5.41).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from latchgate.core.kinds.oauth_token import OauthToken
from latchgate.core.kinds.service_key import ServiceKey
from latchgate.core.network import Networks
from latchgate.core.policy import Policy
from latchgate.core.scope import ALL, Scopes
from latchgate.core.standing import MAX_PARENTS
from latchgate.manage import logins
from latchgate.manage.actor import Caller
from latchgate.manage.errors import ForbiddenError
from latchgate.manage.gate import may_hand_out, sourced
from latchgate.store import schema

_TABLE = schema.credential


def may_renew(
    connection: sa.Connection,
    policy: Policy,
    caller: Caller,
    row: dict[str, Any],
    *,
    expires_at: float | None,
    opened: Scopes = ALL,
) -> None:
    """Refuse whoever may not make a credential like the one of a row (ForbiddenError).

    One's own is bounded by what it is made with in every way (ATTACKS D5.38, D5.41); for somebody
    else's the caller must hold all that it opens, as `logins.check_gives` says for passwords.
    """
    maker = caller.credential
    if not maker.issues:
        raise ForbiddenError("the credential you came with may not make others")
    kind = policy.kinds.get(maker.kind)
    # Whoever signed in makes what outlives their session or their token, as with a service key.
    if isinstance(kind, OauthToken):
        maker = sourced(connection, caller).credential
    elif not isinstance(kind, ServiceKey) and caller.session_id is None:
        _check_below(connection, maker.source_id, row)
    scopes, mine = Scopes.of(row["scopes"]), row["owner_id"] == caller.owner.id
    if mine and scopes.every and not maker.scopes.every:
        raise ForbiddenError("it opens all that you may do, and what you came with does not")
    elsewhere = not mine or row["project_id"] != maker.project_id
    if scopes.every and elsewhere:
        holder = logins.holder_of(connection, caller, row["owner_id"], row["project_id"])
        scopes = holder.rights & opened
    if elsewhere or not scopes.every:
        may_hand_out(caller, scopes)
    if not mine:
        return
    if maker.expires_at is not None and (expires_at is None or expires_at > maker.expires_at):
        msg = "it can't outlive the credential it is made with; give an earlier expiry"
        raise ForbiddenError(msg)
    networks = Networks.of(row["networks"]) if row["networks"] is not None else None
    if maker.networks is not None and (networks is None or not networks.within(maker.networks)):
        limit = ", ".join(maker.networks.listed()) or "nowhere"
        raise ForbiddenError(f"you may come from {limit} only, and it may be used from elsewhere")


def _check_below(connection: sa.Connection, maker_id: str, row: dict[str, Any]) -> None:
    """Let a token renew only what ends with it: a successor of anything else would outlive it."""
    above = row["parent_id"]
    for _ in range(MAX_PARENTS):
        if above is None or above == maker_id:
            break
        parent = sa.select(_TABLE.c.parent_id).where(_TABLE.c.id == above)
        above = connection.execute(parent).scalar_one_or_none()
    if above != maker_id:
        raise ForbiddenError("a token can do that only to what was made with it")
