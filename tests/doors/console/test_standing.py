"""Who is signed in, as one who acts: their rights are looked at anew, in a project of theirs."""

from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from tests.world import World

from latchgate.core.model import Noun
from latchgate.core.network import parse_address
from latchgate.doors.console.standing import stand
from latchgate.signin.session import Session
from latchgate.store import schema


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def standing(world):
    """Work out what somebody has now, at an address, with a wish."""
    engine = world.engine()
    door: Any = SimpleNamespace(engine=engine, clock=world.clock)

    def of(who, *, wish=None, address="192.0.2.1"):
        session = Session("s-1", who.user_id, who.tenant_id, world.clock(), ("pwd",), None)
        client = parse_address(address) if address else None
        request: Any = SimpleNamespace(client=client)
        return stand(door, session, request, wish=wish)

    return of


def test_somebody_has_the_rights_of_their_role_in_their_project(world, standing):
    who = world.somebody("own:keys.read")
    found = standing(who)
    assert found.caller is not None
    assert "own:keys.read" in found.caller.rights
    assert "own:keys.write" not in found.caller.rights
    assert [one.id for one in found.projects] == [who.project_id]
    assert found.caller.credential.project_id == who.project_id
    assert (found.outside, found.caller.address) == (False, "192.0.2.1")


def test_rights_of_two_projects_are_never_had_at_once(world, standing):
    who = world.somebody("own:keys.read")
    other = world.project(who.tenant_id)
    world.assign(who.user_id, other, world.role(who.tenant_id, ["own:keys.write"]))
    here, there = standing(who, wish=who.project_id), standing(who, wish=other)
    assert "own:keys.write" not in here.caller.rights
    assert "own:keys.read" not in there.caller.rights
    assert "own:keys.write" in there.caller.rights


@pytest.mark.parametrize("wish", [None, "", "p-nothing", "theirs"])
def test_a_wish_for_a_project_that_is_not_theirs_counts_for_nothing(world, standing, wish):
    who, other = world.somebody("own:keys.read"), world.somebody("*")
    found = standing(who, wish=other.project_id if wish == "theirs" else wish)
    assert found.caller.credential.project_id == who.project_id
    assert "own:keys.write" not in found.caller.rights


def test_a_role_that_is_taken_away_opens_nothing_any_more(world, standing):
    who = world.somebody("own:keys.read")
    assert "own:keys.read" in standing(who).caller.rights
    table = schema.role_assignment
    gone = sa.delete(table).where(table.c.user_id == who.user_id)
    world.change(Noun.USER, who.user_id, gone)
    found = standing(who)
    assert found.projects == ()
    assert found.caller is None or "own:keys.read" not in found.caller.rights


def test_a_project_that_is_switched_off_is_none_to_work_in(world, standing):
    who = world.somebody("own:keys.read")
    table = schema.project
    off = sa.update(table).where(table.c.id == who.project_id).values(active=False)
    world.change(Noun.PROJECT, who.project_id, off)
    found = standing(who)
    assert found.projects == ()
    assert found.caller is None or "own:keys.read" not in found.caller.rights


def test_networks_of_somebody_hold_here_too_and_nowhere_is_outside(world, standing):
    who = world.somebody("own:keys.read")
    table = schema.user
    only = sa.update(table).where(table.c.id == who.user_id).values(networks='["192.0.2.0/24"]')
    world.change(Noun.USER, who.user_id, only)
    assert standing(who).caller is not None
    for address in ("198.51.100.1", None):
        found = standing(who, address=address)
        assert (found.caller, found.outside) == (None, True)


def test_a_disabled_user_acts_no_more(world, standing):
    who = world.somebody("own:keys.read")
    table = schema.user
    off = sa.update(table).where(table.c.id == who.user_id).values(active=False)
    world.change(Noun.USER, who.user_id, off)
    found = standing(who)
    assert (found.caller, found.outside) == (None, False)


def test_the_switch_that_keeps_programs_out_keeps_nobody_from_the_console(world, standing):
    who = world.somebody("own:keys.read")
    table = schema.user
    off = sa.update(table).where(table.c.id == who.user_id).values(api=False)
    world.change(Noun.USER, who.user_id, off)
    assert "own:keys.read" in standing(who).caller.rights


def test_projects_are_those_of_the_sessions_tenant_by_their_names(world, standing):
    who, stranger = world.somebody("own:keys.read"), world.somebody("*")
    world.assign(who.user_id, stranger.project_id, world.role(who.tenant_id, ["own:keys.write"]))
    more = [world.project(who.tenant_id) for _ in range(3)]
    for project in reversed(more):
        world.assign(who.user_id, project, world.role(who.tenant_id, ["own:keys.read"]))
    names = [one.name for one in standing(who).projects]
    assert names == sorted(names)
    assert stranger.project_id not in {one.id for one in standing(who).projects}
