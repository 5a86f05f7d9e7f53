"""Who acts for whom, for whoever tests pages about it: consents, service users, their clients."""

from __future__ import annotations

import sqlalchemy as sa
from tests.minting import client
from tests.people import Person
from tests.world import World

from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.manage.oauth_clients import StoredClient
from latchgate.store import schema


def consent(world: World, made: StoredClient, user_id: str) -> None:
    """Note that somebody allowed a client what they need not be asked for again."""
    record = f"{user_id}:{made.id}"
    row = {"id": record, "user_id": user_id, "client_id": made.id, "version": 0}
    row |= {"scopes": '["openid","own:account.read"]', "given_at": 5.0}
    world.change(Noun.CONSENT, record, sa.insert(schema.consent).values(**row))


def service_user(world: World, of: Person, *scopes: str) -> str:
    """Make a service user of somebody's tenant with a role in their project; returns its id."""
    row = {"tenant_id": of.tenant_id, "active": True, "sort": "service", "api": True}
    row |= {"networks": None, "email": None, "created_at": 1.0, "name": f"robot {world.head()}"}
    user = world.make(Noun.USER, schema.user, "u", **row)
    world.assign(user, of.project_id, world.role(of.tenant_id, scopes))
    return user


def acting_client(world: World, policy: Policy, of: Person, *scopes: str) -> StoredClient:
    """Make a client that may act by itself in somebody's tenant, as nobody yet."""
    return client(
        world,
        policy,
        grant_types=["client_credentials"],
        redirect_uris=[],
        tenant_id=of.tenant_id,
        scopes=list(scopes),
    )
