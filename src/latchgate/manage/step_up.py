"""Proof, once more, of who asks: for what somebody at an unlocked screen must not do.

The owner's password with the call, a sign-in with it just now, or a credential that was given the
scope to go without. Source: providers/kakaocloud, "Delete Access key"; RFC 9470.
"""

from __future__ import annotations

import sqlalchemy as sa

from latchgate.core.kinds.access_key import AccessKey
from latchgate.core.kinds.account_password import AccountPassword
from latchgate.core.policy import Policy
from latchgate.manage import passwords
from latchgate.manage.actor import Caller
from latchgate.manage.errors import InvalidError, NotFoundError, StepUpError
from latchgate.manage.passwords import HeldPassword
from latchgate.store import schema
from latchgate.store.journal import Store

FRESH_SECONDS = 300.0  # how old a sign-in may be that proves who asks
DELETES = "own:access-keys.delete"  # whoever holds it is not asked for the password


def password_of(store: Store, policy: Policy, caller: Caller) -> HeldPassword | None:
    """Return the account password by which a caller proves who they are; None without one.

    That of the provider whose access keys these are goes before the one they sign in with.
    """
    own = [kind.name for kind in policy.kinds.values() if isinstance(kind, AccessKey)]
    for namespace in (*(name.partition(".")[0] for name in own), passwords.NAMESPACE):
        try:
            return passwords.held(store, policy, caller, namespace)
        except (NotFoundError, InvalidError):
            continue
    return None


def unproven() -> StepUpError:
    """Return the refusal for a proof that is missing or wrong, which says not which."""
    msg = "Deleting an access key takes its owner's password, or a sign-in with it not older than"
    msg += f" {int(FRESH_SECONDS // 60)} minutes, or a credential with the scope {DELETES}."
    return StepUpError(msg, max_age=int(FRESH_SECONDS))


def check_proof(connection: sa.Connection, policy: Policy, caller: Caller, now: float) -> None:
    """Raise StepUpError unless a caller need not be asked: a sign-in just now, or the scope."""
    credential, table = caller.credential, schema.credential
    # A project token or a session has the scope by its owner's roles; nobody gave it to be used
    # unattended.
    given = not credential.minted and caller.session_id is None
    if given and DELETES in caller.rights:
        return
    if credential.minted and now - credential.created_at <= FRESH_SECONDS:
        source = sa.select(table.c.kind).where(table.c.id == credential.source_id)
        kind = connection.execute(source).scalar_one_or_none()
        if isinstance(policy.kinds.get(kind or ""), AccountPassword):
            return
    raise unproven()
