"""Projects: named once in a tenant, and what a disabled one takes with it."""

from __future__ import annotations

import secrets

import pytest
from tests.world import World, asking

from latchgate.manage import projects
from latchgate.manage.errors import NotFoundError, StaleError
from latchgate.manage.idempotency import Once
from latchgate.manage.listing import Query
from latchgate.manage.projects import ProjectPatch, ProjectSpec
from latchgate.manage.records import IfMatch
from latchgate.store.errors import ConflictError

pytestmark = pytest.mark.both_databases

NOW = 1_000_000.0


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, clock=lambda: NOW)
    yield made
    made.close()


@pytest.fixture
def admin(world):
    return world.acting(world.admin)


def create(world, caller, name="blue", once=None):
    how = {"now": NOW, "entropy": secrets.token_bytes, "once": once}
    return projects.create(world.store, caller, ProjectSpec(name=name), **how)


def test_a_project_is_made_renamed_and_listed(world, admin):
    made, new = create(world, admin)
    renamed = projects.change_project(world.store, admin, made.id, ProjectPatch(name="green"))
    assert (new, made.active, renamed.name) == (True, True, "green")
    assert projects.shown(world.store, admin, made.id) == renamed
    found, _ = projects.listed(world.store, admin, Query(q="GREE"), now=NOW)
    assert found == [renamed]
    with pytest.raises(StaleError):
        projects.change_project(
            world.store,
            admin,
            made.id,
            ProjectPatch(name="red"),
            match=IfMatch(frozenset({made.version})),
        )


def test_a_repeat_finds_the_project(world, admin):
    once = Once.of("k", "POST /manage/v1/projects", {})
    made, _ = create(world, admin, once=once)
    assert create(world, admin, once=once) == (made, False)


def test_a_name_is_taken_once_in_a_tenant(world, admin):
    create(world, admin)
    with pytest.raises(ConflictError):
        create(world, admin)
    create(world, world.acting(world.key("manage", owner=world.somebody())))


def test_projects_of_another_tenant_are_not_there(world, admin):
    foreign, head = world.somebody().project_id, world.head()
    for call in (
        lambda: projects.shown(world.store, admin, foreign),
        lambda: projects.change_project(world.store, admin, foreign, ProjectPatch(name="x")),
        lambda: projects.switch(world.store, admin, foreign, active=False),
    ):
        with pytest.raises(NotFoundError):
            call()
    listed, _ = projects.listed(world.store, admin, Query(), now=NOW)
    assert foreign not in {one.id for one in listed}
    assert world.head() == head


def test_a_disabled_project_takes_its_credentials_along_until_it_is_enabled(world, admin):
    somebody = world.somebody(tenant_id=admin.tenant_id)
    key, engine = world.key(owner=somebody), world.engine()
    off, n = projects.switch(world.store, admin, somebody.project_id, active=False)
    assert (off.active, off.version, world.head()) == (False, n, n)
    assert engine.decide(asking(key)).reason == "project_disabled"
    assert projects.switch(world.store, admin, somebody.project_id, active=False) == (off, n)
    projects.switch(world.store, admin, somebody.project_id, active=True)
    assert engine.decide(asking(key)).allowed


def test_the_project_of_the_last_administrator_is_not_disabled(world, admin):
    with pytest.raises(ConflictError, match="without an active user who can manage"):
        projects.switch(world.store, admin, world.owner.project_id, active=False)
    assert world.engine().decide(asking(world.admin, target="/manage/v1/keys")).allowed
