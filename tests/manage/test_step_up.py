"""Who is asked for the password once more, and whose it is."""

from __future__ import annotations

import msgspec
import pytest
from tests import people
from tests.world import FILES, compiled

from latchgate.core.model import Grant, Noun, User
from latchgate.core.scope import ALL, Scopes
from latchgate.manage import step_up
from latchgate.manage.actor import Caller
from latchgate.manage.errors import StepUpError
from latchgate.signin.session import Session

POLICY = compiled(FILES, 1)
AT = 1_900_000_000.0


def signed_in(world, person):
    """Somebody who signed in this very moment, and whose roles hold every scope."""
    session = Session("s-1", person.id, person.tenant_id, AT, ("pwd",), None)
    found = world.engine().records([(Noun.USER, person.id)])[Noun.USER, person.id]
    assert isinstance(found, User)
    return Caller(Grant(session.credential(person.project_id), found, ALL), None, session.id)


def check(world, caller):
    with world.store.reading() as connection:
        step_up.check_proof(connection, POLICY, caller, AT)


def test_somebody_signed_in_is_asked_whatever_their_roles_hold(world):
    caller = signed_in(world, people.person(world))
    assert step_up.DELETES in caller.rights
    with pytest.raises(StepUpError, match="owner's password"):
        check(world, caller)


def test_a_key_that_was_given_the_scope_is_not_asked(world):
    caller = world.acting(world.admin)
    check(world, caller)
    without = Scopes.of(["own:access-keys.write"])
    grant = msgspec.structs.replace(caller.grant, rights=without)
    with pytest.raises(StepUpError):
        check(world, Caller(grant, None))


def test_the_password_that_they_sign_in_with_proves_it_where_they_have_no_other(world):
    person = people.person(world)
    held = step_up.password_of(world.store, POLICY, signed_in(world, person))
    assert held is not None
    assert held.login == f"latchgate:{person.login}"


def test_somebody_without_a_password_has_none_to_prove_it_with(world):
    owner = world.somebody()
    person = people.Person(owner.user_id, owner.tenant_id, owner.project_id, "", "")
    assert step_up.password_of(world.store, POLICY, signed_in(world, person)) is None
