"""The security page: what changes how one signs in takes a fresh proof, and is shown once."""

from __future__ import annotations

import re
import time

import pyotp
import pytest
import sqlalchemy as sa
from tests import people
from tests.doors.console.visitor import Visitor

from latchgate.manage import authenticators
from latchgate.signin import session
from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

SESSION = session.COOKIE
GUARDED = (
    "/security/app/new",
    "/security/app",
    "/security/passkey/options",
    "/security/passkey",
    "/security/codes",
    "/security/remove",
    "/security/password",
)


def grow_old(world, person) -> None:
    """Let the proof of a person's sessions be older than ten minutes."""
    old = time.time() - session.FRESH_SECONDS - 5
    table = schema.session
    with world.store.writing() as connection:
        connection.execute(
            sa.update(table).where(table.c.user_id == person.id).values(auth_time=old)
        )


def begin_app(visitor: Visitor) -> str:
    visitor.see("/security")
    visitor.send("/security/app/new")
    visitor.see("/security/app")
    found = re.findall(r'class="secret">([A-Z2-7 ]+)<', visitor.page)
    return str(found[0]).replace(" ", "")


def test_nothing_is_changed_on_an_old_proof(visitor, world, person):
    visitor.sign_in(person)
    visitor.see("/security")
    grow_old(world, person)
    before = visitor.cookies[SESSION]
    for path in GUARDED:
        answer = visitor.send(path, Referer=f"{visitor.origin}/security")
        assert (answer.status, answer.headers["location"]) == (
            303,
            "/sign-in?next=%2Fsecurity&again=1",
        ), path
    assert visitor.see("/security/password").headers["location"].endswith("&again=1")
    visitor.see("/sign-in?next=%2Fsecurity&again=1")
    assert "Confirm that it is you" in visitor.page
    form = {"login": person.login, "password": person.password, "next": "/security"}
    assert visitor.send("/sign-in", form).headers["location"] == "/security"
    assert visitor.cookies[SESSION] != before
    assert session.resume(world.store, before, now=time.time()) is None
    visitor.see("/security")
    assert visitor.send("/security/app/new").headers["location"] == "/security/app"


def test_an_old_proof_is_renewed_with_the_second_factor_as_well(visitor, world, person):
    visitor.sign_in(person)
    key = begin_app(visitor)
    now = time.time()
    visitor.send("/security/app", {"code": pyotp.TOTP(key).at(now - 30), "name": "phone"})
    grow_old(world, person)
    visitor.see("/sign-in?next=%2Fsecurity&again=1")
    form = {"login": person.login, "password": person.password, "next": "/security"}
    assert visitor.send("/sign-in", form).headers["location"] == "/sign-in/second"
    assert visitor.see("/security/password").headers["location"].endswith("&again=1")
    visitor.see("/sign-in/second")
    visitor.send("/sign-in/second", {"code": pyotp.TOTP(key).now()})
    assert visitor.see("/security/password").status == 200


def test_an_app_counts_once_a_code_of_it_was_right(visitor, world, person):
    visitor.sign_in(person)
    key = begin_app(visitor)
    assert visitor.send("/security/app", {"code": "000000", "name": "phone"}).status == 422
    assert not authenticators.factors(world.store, person.id).second
    stored = world.all(sa.select(schema.ceremony.c.data))
    assert key not in repr(stored)
    made = visitor.send("/security/app", {"code": pyotp.TOTP(key).now(), "name": "phone"})
    codes = re.findall(r"<li><code>([^<]+)<", made.body.decode())
    assert len(codes) == 10
    assert authenticators.factors(world.store, person.id).apps == 1
    kept = world.all(sa.select(schema.authenticator))
    assert key not in repr(kept)
    assert codes[0].replace("-", "") not in repr(kept)
    visitor.see("/security")
    assert codes[0] not in visitor.page
    again = visitor.send("/security/app", {"code": pyotp.TOTP(key).now(), "name": "phone"})
    assert again.headers["location"] == "/security"


def test_new_recovery_codes_take_the_place_of_those_before(visitor, world, person):
    visitor.sign_in(person)
    visitor.see("/security")
    assert visitor.send("/security/codes").status == 422  # there is nothing they would stand for
    key = begin_app(visitor)
    first = visitor.send("/security/app", {"code": pyotp.TOTP(key).now(), "name": "phone"})
    visitor.see("/security")
    second = visitor.send("/security/codes")
    old, new = (re.findall(r"<li><code>([^<]+)<", page.body.decode()) for page in (first, second))
    use = authenticators.use_code
    where = {"address": None}
    assert not use(world.store, person.id, person.tenant_id, old[0], **where)
    assert use(world.store, person.id, person.tenant_id, new[0], **where)


def test_the_last_authenticator_takes_the_recovery_codes_with_it(visitor, world, person):
    visitor.sign_in(person)
    key = begin_app(visitor)
    visitor.send("/security/app", {"code": pyotp.TOTP(key).now(), "name": "phone"})
    (held,) = authenticators.listed(world.store, person.id)
    visitor.see("/security")
    assert visitor.send("/security/remove", {"id": held.id}).status == 303
    left = authenticators.factors(world.store, person.id)
    assert (left.apps, left.passkeys, left.codes) == (0, 0, 0)
    actions = [row.action for row in world.journal() if row.record == held.id]
    assert actions == ["authenticator.create", "authenticator.delete"]


def test_nobody_removes_or_ends_what_is_anothers(server, world, person):
    victim, attacker = Visitor(server), Visitor(server)
    victim.sign_in(person)
    key = begin_app(victim)
    victim.send("/security/app", {"code": pyotp.TOTP(key).now(), "name": "phone"})
    (held,) = authenticators.listed(world.store, person.id)
    (theirs,) = session.listed(world.store, person.id, now=time.time())
    attacker.sign_in(people.person(world))
    attacker.see("/security")
    assert attacker.send("/security/remove", {"id": held.id}).status == 404
    attacker.send("/security/sessions/end", {"id": theirs.id})
    assert victim.is_signed_in()
    assert authenticators.factors(world.store, person.id).apps == 1


def test_sessions_are_listed_and_ended_one_or_all_others(server, world, person):
    here, there, elsewhere = (Visitor(server, f"192.0.2.{n}") for n in (1, 2, 3))
    for visitor in (here, there, elsewhere):
        visitor.sign_in(person)
    held = {one.address: one.id for one in session.listed(world.store, person.id, now=time.time())}
    here.see("/security")
    assert all(str(address) in here.page for address in held)
    here.send("/security/sessions/end", {"id": held["192.0.2.2"]})
    assert not there.is_signed_in()
    assert elsewhere.is_signed_in()
    here.send("/security/sessions/end", {"id": "others"})
    assert not elsewhere.is_signed_in()
    assert here.is_signed_in()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"new": "short", "repeated": "short"}, "at least 15"),
        ({"repeated": "another one entirely"}, "not the same"),
        ({"current": "wrong"}, "The current password is wrong"),
        ({"new": "latchgate latchgate", "repeated": "latchgate latchgate"}, "guessed"),
    ],
)
def test_a_new_password_keeps_the_rules_and_takes_the_old_one(visitor, person, change, told):
    visitor.sign_in(person)
    visitor.see("/security/password")
    wanted = "orange kettle under nine bridges"
    form = {"current": person.password, "new": wanted, "repeated": wanted} | change
    answer = visitor.send("/security/password", form)
    assert answer.status == 422
    assert told in answer.body.decode()
    assert Visitor(visitor.server).sign_in(person).headers["location"] == "/security"


def test_a_changed_password_ends_other_sessions_and_is_asked_for_next_time(server, person):
    here, there = Visitor(server), Visitor(server)
    here.sign_in(person)
    there.sign_in(person)
    here.see("/security/password")
    before = here.cookies[SESSION]
    wanted = "orange kettle under nine bridges"
    form = {"current": person.password, "new": wanted, "repeated": wanted}
    assert here.send("/security/password", form).headers["location"] == "/security?done=password"
    assert here.cookies[SESSION] != before
    assert here.is_signed_in()
    assert not there.is_signed_in()
    assert Visitor(server).sign_in(person).status == 403
    assert Visitor(server).sign_in(person, password=wanted).status == 303


def test_an_administrator_takes_lost_factors_away_and_whoever_may_do_less_does_not(
    server, world, person
):
    visitor = Visitor(server)
    visitor.sign_in(person)
    key = begin_app(visitor)
    visitor.send("/security/app", {"code": pyotp.TOTP(key).now(), "name": "phone"})
    path = f"/manage/v1/users/{person.id}/authenticators"
    helper = world.somebody("manage:users.write", tenant_id=person.tenant_id)
    less = world.key("manage", owner=helper).text
    assert server.call("DELETE", path, token=less).status == 403
    stranger = world.key("manage", owner=world.somebody("manage:users.write")).text
    assert server.call("DELETE", path, token=stranger).status == 404
    assert visitor.is_signed_in()
    done = server.call("DELETE", path)
    assert (done.status, done.json) == (200, {"user_id": person.id, "removed": 1})
    assert not visitor.is_signed_in()
    assert Visitor(server).sign_in(person).headers["location"] == "/security"
    assert server.cli("user", "reset-factors", person.id, "--json").json["removed"] == 0


@pytest.mark.parametrize("how", ["disable", "issue", "take"])
def test_an_administrator_who_acts_on_an_account_ends_its_sessions(server, visitor, person, how):
    visitor.sign_in(person)
    assert visitor.is_signed_in()
    path = f"/manage/v1/users/{person.id}"
    if how == "disable":
        assert server.call("POST", f"{path}/disable").status == 200
        assert server.call("POST", f"{path}/enable").status == 200
    elif how == "issue":
        assert server.call("POST", f"{path}/password", {}).status == 201
    else:
        assert server.call("DELETE", f"{path}/password/latchgate").status == 200
    assert not visitor.is_signed_in()
