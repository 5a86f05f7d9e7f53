"""Workloads: trusted by whoever holds what they open, and ended with a receipt's number."""

from __future__ import annotations

import secrets

import pytest
import sqlalchemy as sa
from tests.minting import with_issuer
from tests.world import FILES, Owner

from latchgate.core.model import Noun
from latchgate.core.network import Networks
from latchgate.core.scope import Scopes
from latchgate.manage import workloads
from latchgate.manage.errors import ForbiddenError, InvalidError, NotFoundError, StaleError
from latchgate.manage.listing import Query
from latchgate.manage.records import IfMatch
from latchgate.manage.workloads import WorkloadPatch, WorkloadSpec
from latchgate.signin.issuers import Issuers
from latchgate.store import schema
from latchgate.store.errors import ConflictError

pytestmark = pytest.mark.both_databases

POLICY = with_issuer(FILES, 1)
ISSUER = "https://token.actions.githubusercontent.com"
KEYS = f"{ISSUER}/.well-known/jwks"
MAIN = "repo:acme/photos:ref:refs/heads/main"


@pytest.fixture
def issuers():
    made = Issuers(allowed=Networks.of([]), ticks=lambda: 0.0)
    yield made
    made.close()


@pytest.fixture
def admin(world):
    return world.acting(world.admin)


def robot(world, *scopes, tenant_id=None, sort="service") -> Owner:
    made: Owner = world.somebody(*scopes, tenant_id=tenant_id or world.owner.tenant_id)
    table = schema.user
    service = sa.update(table).where(table.c.id == made.user_id).values(sort=sort)
    world.change(Noun.USER, made.user_id, service)
    return made


@pytest.fixture
def make(world, issuers, admin):
    """Return a function that trusts a workload; `by` is who does."""
    robots: dict[str, Owner] = {}

    def trusted(by=None, **told):
        asked = {"name": "deploy", "issuer": ISSUER, "jwks_uri": KEYS, "claims": {"sub": MAIN}}
        asked["scopes"] = ["storage:read", "storage:write"]
        if "user_id" not in told:
            asked["user_id"] = robots.setdefault("one", robot(world)).user_id
        spec = WorkloadSpec(**{**asked, **told})
        return workloads.create(
            world.store,
            POLICY,
            by or admin,
            spec,
            issuers=issuers,
            now=world.clock(),
            entropy=secrets.token_bytes,
        )[0]

    return trusted


def grant_of(world, made):
    table = schema.credential
    return world.one(sa.select(table).where(table.c.id == made.grant_id))


def fields(error):
    return {field for field, _ in error.value.faults}


def test_a_workload_acts_by_a_grant_of_its_own(world, make):
    made = make()
    row = grant_of(world, made)
    assert (row.kind, row.external_id, row.issues) == ("latchgate.oauth_grant", made.id, False)
    assert (row.owner_id, row.application_id) == (made.user_id, None)
    assert made.audience == "https://login.example"  # this server's own issuer
    assert (made.scopes, made.lifetime, made.state) == (
        ["storage:read", "storage:write"],
        600.0,
        "active",
    )
    actions = [one.action for one in world.journal()][-2:]
    assert [one.removeprefix("oauth_") for one in actions] == ["grant.create", "workload.create"]


def test_nobody_trusts_a_workload_with_more_than_they_hold(world, make):
    poor = world.acting(world.admin, Scopes.of(["storage:read", "manage:workloads.write"]))
    with pytest.raises(ForbiddenError, match="storage:write"):
        make(by=poor)
    assert make(by=poor, scopes=["storage:read"]).scopes == ["storage:read"]


def test_d5_38_nobody_lets_others_in_to_what_they_do_not_hold_by_changing_a_rule(
    world, make, issuers, admin
):
    made = make()
    poor = world.acting(world.admin, Scopes.of(["storage:read", "manage:workloads.write"]))
    for patch in (
        WorkloadPatch(claims={"repository": "eve/own"}),
        WorkloadPatch(audience="https://eve.example"),
        WorkloadPatch(jwks_uri="https://eve.example/keys"),
        WorkloadPatch(scopes=["storage:read"]),
    ):
        with pytest.raises(ForbiddenError, match="storage:write"):
            workloads.change_workload(world.store, poor, made.id, patch, issuers=issuers)
    assert workloads.shown(world.store, admin, made.id) == made
    off, _ = workloads.disable(world.store, poor, made.id)
    assert off.state == "disabled"
    with pytest.raises(ForbiddenError, match="storage:write"):
        workloads.enable(world.store, poor, made.id)


def test_it_acts_as_a_service_user_of_the_tenant_alone(world, make):
    person = robot(world, sort="person")
    with pytest.raises(InvalidError, match="service user"):
        make(user_id=person.user_id)
    with pytest.raises(NotFoundError):
        make(user_id=robot(world, tenant_id=world.tenant()).user_id)


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"claims": {}}, "claims"),
        ({"claims": {"ref": "refs/heads/main"}}, "claims"),
        ({"claims": {"sub": "repo:*"}}, "claims"),
        ({"issuer": "http://ci.example"}, "issuer"),
        ({"issuer": "https://10.0.0.1"}, "issuer"),
        ({"issuer": "https://ci.example?x=1"}, "issuer"),
        ({"issuer": "https://user@ci.example"}, "issuer"),
        ({"jwks_uri": "http://127.0.0.1/keys"}, "jwks_uri"),
        ({"jwks_uri": "https://169.254.169.254/latest"}, "jwks_uri"),
        ({"scopes": ["openid"]}, "scopes"),
        ({"scopes": ["*"]}, "scopes"),
        ({"lifetime": "2h"}, "lifetime"),
        ({"lifetime": "soon"}, "lifetime"),
    ],
    ids=str,
)
def test_what_can_not_be_trusted_is_told_field_by_field(make, world, told, field):
    user_id = robot(world).user_id
    before = world.head()
    with pytest.raises(InvalidError) as error:
        make(user_id=user_id, **told)
    assert fields(error) == {field}
    assert world.head() == before


def test_every_fault_is_told_at_once(make):
    with pytest.raises(InvalidError) as error:
        make(claims={}, scopes=["*"], lifetime="2h", issuer="ftp://x")
    assert fields(error) == {"claims", "scopes", "lifetime", "issuer"}


def test_names_are_a_tenants_own_and_taken_once(world, make):
    make()
    with pytest.raises(ConflictError, match="already"):
        make()
    make(name="other")


def test_what_is_changed_is_changed_in_the_grant_too(world, make, issuers, admin):
    made = make()
    patch = WorkloadPatch(
        name="publish", scopes=["storage:read"], claims={"repository": "acme/photos"}, lifetime="1h"
    )
    now, n = workloads.change_workload(world.store, admin, made.id, patch, issuers=issuers)
    assert n == world.head()
    assert (now.name, now.scopes, now.lifetime) == ("publish", ["storage:read"], 3600.0)
    assert now.claims == {"repository": "acme/photos"}
    row = grant_of(world, made)
    assert (row.name, row.scopes) == ("publish", '["storage:read"]')
    with pytest.raises(InvalidError):
        workloads.change_workload(
            world.store, admin, made.id, WorkloadPatch(claims={}), issuers=issuers
        )
    stale = IfMatch(frozenset({made.version}))
    with pytest.raises(StaleError):
        workloads.change_workload(
            world.store, admin, made.id, WorkloadPatch(name="x"), issuers=issuers, match=stale
        )


def test_it_is_switched_off_and_on_with_its_grant_and_a_repeat_waits_again(world, make, admin):
    made = make()
    off, n = workloads.disable(world.store, admin, made.id)
    assert (off.state, n) == ("disabled", world.head())
    assert grant_of(world, made).disabled_at is not None
    assert workloads.disable(world.store, admin, made.id)[1] == n
    on, _ = workloads.enable(world.store, admin, made.id)
    assert on.state == "active"
    assert grant_of(world, made).disabled_at is None


def test_a_deleted_one_is_gone_with_its_grant(world, make, admin):
    made = make()
    gone, n = workloads.delete(world.store, admin, made.id)
    assert (gone.id, n) == (made.id, world.head())
    assert grant_of(world, made).revoked_at is not None
    with pytest.raises(NotFoundError):
        workloads.shown(world.store, admin, made.id)
    make()  # its name is free again


def test_one_whose_grant_was_revoked_apart_is_ended_and_stays_so(world, make, issuers, admin):
    made = make()
    table = schema.credential
    ended = sa.update(table).where(table.c.id == made.grant_id).values(revoked_at=1.0)
    world.change(Noun.CREDENTIAL, made.grant_id, ended)
    assert workloads.shown(world.store, admin, made.id).state == "ended"
    for act in (
        lambda: workloads.enable(world.store, admin, made.id),
        lambda: workloads.change_workload(
            world.store, admin, made.id, WorkloadPatch(name="x"), issuers=issuers
        ),
    ):
        with pytest.raises(ConflictError, match="for good"):
            act()


def test_another_tenants_workload_is_not_there(world, make, issuers):
    made = make()
    owner = world.somebody("*")
    other = world.acting(world.key("storage", owner=owner))
    assert workloads.listed(world.store, other, Query(), now=world.clock()) == ([], None)
    for act in (
        lambda: workloads.shown(world.store, other, made.id),
        lambda: workloads.disable(world.store, other, made.id),
        lambda: workloads.enable(world.store, other, made.id),
        lambda: workloads.delete(world.store, other, made.id),
        lambda: workloads.change_workload(
            world.store, other, made.id, WorkloadPatch(name="x"), issuers=issuers
        ),
    ):
        with pytest.raises(NotFoundError):
            act()
