"""Tenants: what a new one comes with, and what a suspended one takes with it."""

from __future__ import annotations

import secrets

import pytest
import sqlalchemy as sa
from tests.world import FILES, World, asking, chain_faults, compiled

from latchgate.manage import tenants
from latchgate.manage.errors import NotFoundError, StaleError
from latchgate.manage.idempotency import Once
from latchgate.manage.listing import Query
from latchgate.manage.records import IfMatch
from latchgate.manage.tenants import TenantPatch, TenantSpec
from latchgate.store import schema
from latchgate.store.errors import ConflictError

pytestmark = pytest.mark.both_databases

NOW = 1_000_000.0
POLICY = compiled(FILES, 1)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, clock=lambda: NOW)
    yield made
    made.close()


@pytest.fixture
def operator(world):
    return world.acting(world.admin)


def create(world, operator, once=None, **asked):
    spec = TenantSpec(**({"name": "acme", "user": "eve"} | asked))
    how = {"now": NOW, "entropy": secrets.token_bytes, "once": once}
    return tenants.create(world.store, POLICY, operator, spec, **how)


def bearer(issued):
    return {"authorization": f"Bearer {issued.secret.reveal()}"}


def test_a_new_tenant_comes_with_somebody_who_can_manage_it(world, operator):
    made, first = create(world, operator, email="eve@acme.example", project="main")
    engine, headers = world.engine(), bearer(first.token)
    for target in ("/manage/v1/users", "/manage/v1/keys", "/manage/v1/account"):
        decision = engine.decide(asking(headers=headers, target=target))
        assert decision.allowed
        assert decision.grant.credential.tenant_id == made.id
        assert decision.grant.owner.id == first.user_id
    user = world.one(sa.select(schema.user).where(schema.user.c.id == first.user_id))
    assert (user.name, user.email, user.sort) == ("eve", "eve@acme.example", "main")
    assert chain_faults(world.database) == []


def test_a_new_tenants_administrator_holds_every_scope_but_the_operators_and_edges(world, operator):
    _, first = create(world, operator)
    engine, headers = world.engine(), bearer(first.token)
    for target in ("/manage/v1/tenants", "/manage/v1/policy"):
        assert not engine.decide(asking(headers=headers, target=target)).allowed
    grant = engine.decide(asking(headers=headers, target="/manage/v1/keys")).grant
    every = {scope for service in POLICY.services.values() for scope in service.scopes}
    withheld = ("operator:", "verifier:")
    assert grant.rights.names == {one for one in every if not one.startswith(withheld)}
    assert not grant.rights.every


def test_the_token_is_kept_nowhere(world, operator):
    _, first = create(world, operator)
    text = first.token.secret.reveal().rpartition("_")[2]
    assert text not in str(world.journal()) + str(world.all(sa.select(schema.credential)))


def test_a_repeat_shows_the_tenant_without_its_token(world, operator):
    once = Once.of("k", "POST /manage/v1/tenants", {})
    made, first = create(world, operator, once=once)
    again, nothing = create(world, operator, once=once)
    assert (again.id, nothing) == (made.id, None)
    assert first is not None


def test_a_taken_name_leaves_nothing_behind(world, operator):
    create(world, operator)
    head, users = world.head(), len(world.all(sa.select(schema.user.c.id)))
    with pytest.raises(ConflictError):
        create(world, operator)
    assert (world.head(), len(world.all(sa.select(schema.user.c.id)))) == (head, users)


def test_a_suspended_tenant_is_out_at_once_and_comes_back(world, operator):
    made, first = create(world, operator)
    engine = world.engine()
    request = asking(headers=bearer(first.token), target="/manage/v1/keys")
    assert engine.decide(request).allowed
    off, n = tenants.switch(world.store, operator, made.id, active=False)
    assert (off.active, off.version, world.head()) == (False, n, n)
    assert engine.decide(request).reason == "tenant_suspended"
    assert tenants.switch(world.store, operator, made.id, active=False) == (off, n)
    tenants.switch(world.store, operator, made.id, active=True)
    assert engine.decide(request).allowed


def test_the_operator_does_not_suspend_their_own_tenant(world, operator):
    with pytest.raises(ConflictError, match="your own tenant"):
        tenants.switch(world.store, operator, operator.tenant_id, active=False)
    tenants.switch(world.store, operator, operator.tenant_id, active=True)


def test_tenants_are_listed_shown_and_renamed(world, operator):
    made, _ = create(world, operator)
    renamed = tenants.change_tenant(world.store, operator, made.id, TenantPatch(name="beta"))
    assert tenants.shown(world.store, made.id) == renamed
    found, _ = tenants.listed(world.store, Query(sort=("name",)), now=NOW)
    assert [one.name for one in found] == ["beta", "default"]
    with pytest.raises(NotFoundError):
        tenants.shown(world.store, "nothing")
    with pytest.raises(StaleError):
        tenants.change_tenant(
            world.store,
            operator,
            made.id,
            TenantPatch(name="gamma"),
            match=IfMatch(frozenset({made.version})),
        )
    assert tenants.change_tenant(world.store, operator, made.id, TenantPatch()) == renamed
