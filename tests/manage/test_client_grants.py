"""Clients that act by themselves: as a service user of their tenant, with what its admin holds."""

from __future__ import annotations

import secrets

import pytest
import sqlalchemy as sa
from tests.minting import Minting, client, with_issuer
from tests.world import FILES, Owner, asking

from latchgate.core.model import Noun
from latchgate.core.reason import Reason
from latchgate.core.scope import Scopes
from latchgate.manage import client_grants, consents, oauth_clients
from latchgate.manage.client_grants import ActingSpec
from latchgate.manage.errors import ForbiddenError, InvalidError, NotFoundError
from latchgate.manage.listing import Query
from latchgate.manage.oauth_clients import ClientPatch
from latchgate.store import schema
from latchgate.store.errors import ConflictError

POLICY = with_issuer(FILES, 1)
SCOPES = ["storage:read", "storage:write", "own:account.read"]


@pytest.fixture
def admin(world):
    return world.acting(world.admin)


def robot(world, *scopes) -> Owner:
    """Make a service user of the first tenant."""
    made: Owner = world.somebody(*scopes, tenant_id=world.owner.tenant_id)
    table = schema.user
    service = sa.update(table).where(table.c.id == made.user_id).values(sort="service")
    world.change(Noun.USER, made.user_id, service)
    return made


def machine(world, **told):
    asked = {"scopes": SCOPES, "grant_types": ["client_credentials"], "redirect_uris": []}
    return client(world, POLICY, **{**asked, "tenant_id": world.owner.tenant_id, **told})


def act(world, caller, client_id, user_id, *scopes, project_id=None):
    spec = ActingSpec(user_id=user_id, scopes=list(scopes), project_id=project_id)
    return client_grants.act_as(
        world.store, POLICY, caller, client_id, spec, entropy=secrets.token_bytes
    )


def test_a_client_acts_until_it_is_withdrawn_or_acts_as_another(world, admin):
    made, one, other = machine(world), robot(world), robot(world)
    acting, n = act(world, admin, made.id, one.user_id, "own:account.read")
    assert (n, acting.version) == (world.head(), world.head())
    assert acting.acts_as is not None
    assert (acting.acts_as.user_id, acting.acts_as.project_id) == (one.user_id, one.project_id)
    minting, engine = Minting(world), world.engine(compile_policy=with_issuer)

    def ask(token):
        headers = {"authorization": f"Bearer {token}"}
        return engine.decide(asking(target="/manage/v1/account", headers=headers)).reason

    token = minting.token(acting.acts_as.id)
    assert ask(token) is Reason.ALLOWED
    row = minting.row(acting.acts_as.id)
    assert (row["external_id"], row["issues"]) == (made.id, 0)
    again, _ = act(world, admin, made.id, other.user_id, "own:account.read")
    assert ask(token) is Reason.PARENT_GONE
    assert again.acts_as is not None
    second = minting.token(again.acts_as.id)
    assert ask(second) is Reason.ALLOWED
    gone, n = client_grants.withdraw(world.store, admin, made.id)
    assert ask(second) is Reason.PARENT_GONE
    assert gone.acts_as is not None
    assert gone.acts_as.revoked_at is not None
    assert client_grants.withdraw(world.store, admin, made.id)[1] == n == world.head()


def test_nobody_lets_a_client_do_more_than_they_may(world, admin):
    made, one = machine(world), robot(world)
    poor = world.acting(world.admin, Scopes.of(["storage:read"]))
    with pytest.raises(ForbiddenError, match="storage:write"):
        act(world, poor, made.id, one.user_id, "storage:read", "storage:write")
    with pytest.raises(InvalidError, match="not among those of the client"):
        act(world, admin, made.id, one.user_id, "storage:delete")
    with pytest.raises(InvalidError, match="people who sign in"):
        act(world, admin, made.id, one.user_id, "openid")
    assert act(world, poor, made.id, one.user_id, "storage:read")[0].acts_as is not None


def test_it_acts_as_a_service_user_of_the_tenant_alone(world, admin):
    made = machine(world)
    person = world.somebody("*", tenant_id=world.owner.tenant_id)
    with pytest.raises(InvalidError, match="service user"):
        act(world, admin, made.id, person.user_id, "storage:read")
    with pytest.raises(NotFoundError):
        act(world, admin, made.id, world.somebody("*").user_id, "storage:read")
    one = robot(world)
    elsewhere = world.project(world.owner.tenant_id)
    with pytest.raises(InvalidError) as error:
        act(world, admin, made.id, one.user_id, "storage:read", project_id=elsewhere)
    assert [field for field, _ in error.value.faults] == ["project_id"]


def test_another_tenants_client_and_one_that_signs_people_in_are_not_there(world, admin):
    one, foreign = robot(world), world.tenant()
    hidden = [machine(world, tenant_id=foreign).id, client(world, POLICY).id]
    for client_id in hidden:
        for ask in (
            lambda it: act(world, admin, it, one.user_id, "storage:read"),
            lambda it: client_grants.withdraw(world.store, admin, it),
            lambda it: client_grants.shown(world.store, admin, it),
        ):
            with pytest.raises(NotFoundError):
                ask(client_id)
    mine = machine(world)
    query = Query()
    found, _ = client_grants.listed(world.store, admin, query, now=world.clock())
    assert [each.client_id for each in found] == [mine.id]


def test_a_client_that_is_off_or_may_not_any_more_acts_as_nobody(world, admin):
    made, one = machine(world), robot(world)
    acting, _ = act(world, admin, made.id, one.user_id, "storage:read")
    assert acting.acts_as is not None
    oauth_clients.disable(world.store, POLICY, admin, made.id)
    with pytest.raises(ConflictError, match="disabled"):
        act(world, admin, made.id, one.user_id, "storage:read")
    oauth_clients.enable(world.store, POLICY, admin, made.id)
    told = ClientPatch(
        grant_types=["authorization_code"], redirect_uris=["https://photos.example/cb"]
    )
    oauth_clients.change_client(world.store, POLICY, admin, made.id, told)
    shown = client_grants.shown(world.store, admin, made.id)
    assert shown.acts_as is not None
    assert shown.acts_as.revoked_at is not None
    with pytest.raises(InvalidError, match="client_credentials"):
        act(world, admin, made.id, one.user_id, "storage:read")


def test_what_a_client_does_by_itself_is_nobodys_consent(world, admin):
    made, one = machine(world), robot(world)
    act(world, admin, made.id, one.user_id, "storage:read")
    assert consents.listed(world.store, admin, one.user_id) == []
    with pytest.raises(NotFoundError):
        consents.withdraw(world.store, admin, made.id, one.user_id)
