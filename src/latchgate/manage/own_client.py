"""Latchgate's own OAuth2 client: the command line, with which people sign in on a device.

Local only, as `manage.setup`: made with the first keys of a database, and brought to the program's
scopes when it is upgraded. What the operator decided of it stays.
"""

from __future__ import annotations

from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.manage.applications import State
from latchgate.manage.client_terms import DEVICE
from latchgate.manage.oauth_clients import TABLE
from latchgate.store import schema
from latchgate.store.journal import Actor, Change, Store, stored

CLI = "latchgate-cli"
_APPLICATION = "app-latchgate-cli"
# Whose scopes it can be given: a person's own, and those of whoever administers a tenant. A token
# never has more than its user.
_SERVICES = ("own", "manage")


def ensure(store: Store, actor: Actor, policy: Policy) -> bool:
    """Make the command line's client, or bring it to this program's scopes; whether it did."""
    services = sorted(scope for name in _SERVICES for scope in policy.scopes_of(name))
    scopes = ["openid", "offline_access", *services]
    with store.change(actor) as change:
        found = change.execute(TABLE.select().where(TABLE.c.id == CLI)).mappings().one_or_none()
        if found is None:
            _make(change, scopes)
            return True
        row = stored(found)
        if row["scopes"] == scopes:
            return False
        noun = Noun.OAUTH_CLIENT
        change.alter("oauth_client.change", noun, TABLE, row, {"scopes": scopes}, tenant_id=None)
        return True


def _make(change: Change, scopes: list[str]) -> None:
    application = {
        "id": _APPLICATION,
        "name": "Latchgate command line",
        "vendor": "Latchgate",
        "contact": "",
        "purpose": "latchgate login",
        "developer": "open_source",
        "state": str(State.APPROVED),
        "reason": "part of the program",
        "owner_digest": b"",  # nobody's token: no text has an empty digest
        "created_at": change.at,
        "decided_at": change.at,
        "decided_by": change.actor.name,
    }
    noun, table = Noun.APPLICATION, schema.application
    change.add("application.create", noun, table, application, tenant_id=None)
    client = {
        "id": CLI,
        "application_id": _APPLICATION,
        "tenant_id": None,
        "public": True,
        "first_party": True,
        "redirect_uris": [],
        "logout_uris": [],
        "grant_types": [DEVICE, "refresh_token"],
        "scopes": scopes,
        "grant_id": None,
        "created_at": change.at,
        "created_by": change.actor.name,
        "disabled_at": None,
        "withdrawn_at": None,
    }
    change.add("oauth_client.create", Noun.OAUTH_CLIENT, TABLE, client, tenant_id=None)
