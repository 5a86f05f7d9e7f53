"""The profile: one's own account with its unique id, whatever rights one holds."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests import people

from latchgate.core.model import Noun
from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


def change(world, person, **told):
    table = schema.user
    world.change(Noun.USER, person.id, sa.update(table).where(table.c.id == person.id).values(told))


def test_it_tells_who_they_are_and_what_their_roles_let_them_do(visitor, world):
    owner = people.owner(world)
    person = people.colleague(world, owner, "storage:read")
    change(world, person, name="<b>Ada</b>", email="ada@example.com", networks='["192.0.2.0/24"]')
    visitor.sign_in(person)
    answer = visitor.see("/profile")
    assert answer.status == 200
    assert b"<b>Ada" not in answer.body
    for told in (
        f'id="user-id">{person.id}</code>',
        person.login,
        "ada@example.com",
        person.tenant_id,
        "<code>192.0.2.0/24</code>",
        "<code>storage:read</code>",
        'href="/security"',
    ):
        assert told in visitor.page, told
    assert "storage:write" not in visitor.page
    assert owner.login not in visitor.page


def test_somebody_whose_programs_are_kept_out_and_who_holds_no_role_sees_that(visitor, world):
    person = people.person(world, "own:account.read")
    change(world, person, api=False)
    held = schema.role_assignment
    world.change(Noun.USER, person.id, sa.delete(held).where(held.c.user_id == person.id))
    visitor.sign_in(person)
    assert visitor.see("/profile").status == 200
    assert "opens anything" in visitor.page
    assert "You hold no role in any project" in visitor.page


def test_nobody_sees_it_without_signing_in(visitor):
    answer = visitor.see("/profile")
    assert (answer.status, answer.headers["location"]) == (303, "/sign-in?next=%2Fprofile")
