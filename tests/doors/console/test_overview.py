"""The overview shows what somebody may see, begins with what to do first, and never fails."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa
from tests import people
from tests.doors.console.visitor import Visitor
from tests.doors.manage.test_usage import counted
from tests.world import Owner, until

from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
DAY = 86_400.0


def owner_of(person):
    return Owner(person.tenant_id, person.project_id, person.id)


def test_somebody_new_is_told_where_to_begin(visitor, world):
    visitor.sign_in(people.owner(world))
    assert visitor.see("/overview").status == 200
    for text in ("Where to begin", 'href="/security"', 'href="/alerts/new"', "Yours"):
        assert text in visitor.page
    assert "Nothing was requested in the last 30 days" in visitor.page


def test_what_wants_doing_is_shown_with_who_asked_what(visitor, world, server):
    who = people.owner(world)
    mine = owner_of(who)
    ending = world.key(owner=mine, name="Ends <soon>", expires_at=time.time() + 3 * DAY)
    old = world.key(owner=mine, name="Old one", scopes=["storage:read"])
    rotated = world.key(owner=mine, name="Rotated", expires_at=time.time() + DAY)
    table = schema.credential
    with world.changing() as change:
        change.execute(
            sa.update(table).where(table.c.id == old.id).values(created_at=time.time() - 100 * DAY)
        )
        change.execute(
            sa.update(table).where(table.c.id == rotated.id).values(superseded_by=old.id)
        )
    world.key(owner=world.somebody("*"), name="foreign", expires_at=time.time() + DAY)
    assert server.allows(old.text)
    assert not server.allows(old.text, method="PUT")
    until(lambda: counted(server, old.id) == 2, seconds=30, what="the counts")
    visitor.sign_in(who)
    visitor.see("/overview")
    # What is between < and > was unescaped by the visitor.
    for text in ("Ends <soon>", "Old one", "should be rotated", "Rotated", "scope_not_granted"):
        assert text in visitor.page, text
    assert b"Ends <soon>" not in visitor.ask("GET", "/overview").body
    assert "foreign" not in visitor.page
    assert "Where to begin" not in visitor.page
    assert ending.text not in visitor.page
    colleague = Visitor(server)
    colleague.sign_in(people.colleague(world, who, "own:keys.read"))
    colleague.see("/overview")
    assert "Of your own credentials" in colleague.page or "Nothing was requested" in colleague.page
    for text in ("Ends <soon>", "Old one", "Of everybody here"):
        assert text not in colleague.page


def test_operators_are_told_of_requests_that_wait(visitor, world, server):
    visitor.sign_in(people.person(world, "*"))
    visitor.see("/overview")
    assert "Applications to review" not in visitor.page
    now = time.time()
    row: dict[str, object] = {"name": "n", "vendor": "v", "contact": "a@b.example", "purpose": "p"}
    row |= {"developer": "individual", "state": "requested", "reason": "", "owner_digest": b"1"}
    with world.changing() as change:
        change.execute(
            sa.insert(schema.application).values(id="app-1", created_at=now, version=1, **row)
        )
    visitor.see("/overview")
    assert "1 request waits for a decision" in visitor.page
    plain = Visitor(server)
    plain.sign_in(people.owner(world))
    plain.see("/overview")
    assert "waits for a decision" not in plain.page


def test_somebody_without_any_role_is_told_what_that_means(visitor, world):
    who = people.owner(world)
    with world.changing() as change:
        table = schema.role_assignment
        change.execute(sa.delete(table).where(table.c.user_id == who.id))
    visitor.sign_in(who)
    assert visitor.see("/overview").status == 200
    assert "You hold no role" in visitor.page
