"""People at the console: rights, faults beside their fields, one made of two sent, one's own."""

from __future__ import annotations

import re
import time
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from tests import people
from tests.doors.console.visitor import Visitor
from tests.world import FILES

from latchgate.signin import session
from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

TAKES = ("change", "disable", "enable", "api", "roles", "take", "password", "password/take")
MORE_TAKES = ("factors", "link", "unlink", "storage")
ISSUER = "https://id.example.com/realms/r"
READ, WRITE = "manage:users.read", "manage:users.write"


@pytest.fixture
def owner(world):
    return people.owner(world)


@pytest.fixture
def admin(visitor: Visitor, owner) -> Visitor:
    visitor.sign_in(owner)
    return visitor


def visiting(server, who) -> Visitor:
    made = Visitor(server)
    made.sign_in(who)
    return made


def user(world, user_id):
    return world.one(sa.select(schema.user).where(schema.user.c.id == user_id))


def once(visitor: Visitor) -> str:
    found = re.search(r'name="once" value="([0-9a-f]+)"', visitor.page)
    assert found is not None
    return found[1]


def made_of(answer) -> str:
    return str(answer.headers["location"]).partition("?")[0].rpartition("/")[2]


def test_who_has_no_right_gets_no_page_and_no_entry(server, world, owner):
    seeing = visiting(server, people.colleague(world, owner, READ))
    assert seeing.see("/people").status == 200
    assert 'href="/people"' in seeing.page
    assert "/people/new" not in seeing.page
    seeing.see(f"/people/{owner.id}")
    assert f"/people/{owner.id}/change" not in seeing.page
    assert seeing.see("/people/new").status == 403
    assert seeing.send(f"/people/{owner.id}/disable").status == 403
    other = visiting(server, people.colleague(world, owner, "manage:keys.read"))
    assert other.see("/people").status == 403
    other.see("/security")
    assert 'href="/people"' not in other.page
    assert user(world, owner.id).active


def test_somebody_of_another_tenant_is_not_there(admin, world):
    stranger = people.owner(world)
    for page in ("", "/change", "/disable", "/api", "/password", "/factors", "/link", "/storage"):
        assert admin.see(f"/people/{stranger.id}{page}").status == 404, page
    for page in ("disable", "enable", "api", "factors"):
        assert admin.send(f"/people/{stranger.id}/{page}").status == 404, page
    assert admin.send(f"/people/{stranger.id}/change", {"name": "mine"}).status == 404
    admin.see(f"/people?project_id={stranger.project_id}")
    assert stranger.id not in admin.page
    assert user(world, stranger.id).active


def test_nothing_is_taken_without_the_token_of_a_page(admin, owner):
    for page in (*TAKES, *MORE_TAKES):
        answer = admin.ask("POST", f"/people/{owner.id}/{page}", {"csrf": "0" * 64})
        assert answer.status == 403, page
    for path in ("/people/new", "/people/subaccount"):
        assert admin.ask("POST", path, {}).status == 403
        assert admin.send(path, Sec_Fetch_Site="cross-site").status == 403


def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(admin):
    admin.see("/people/new")
    form = {"name": "", "email": "nobody", "reach": "listed", "ip_filters": "10.0.0.0/99"}
    answer = admin.send("/people/new", {**form, "sort": "sub"})
    page = answer.body.decode()
    assert answer.status == 422
    assert "Fill this in." in page
    # One at a time is told, as the shapes are read in order; the rest stays as it was typed.
    assert 'value="nobody"' in page
    assert "10.0.0.0/99" in page
    form = {"name": "Zoe", "email": "nobody", "sort": "sub"}
    page = admin.send("/people/new", form).body.decode()
    assert re.search(r'id="email-fault"[^>]*>Write it as NAME@HOST.', page)
    form = {"name": "Zoe", "sort": "sub", "reach": "listed", "ip_filters": "10.0.0.0/99"}
    page = admin.send("/people/new", form).body.decode()
    assert re.search(r'id="ip_filters-fault"[^>]*>[^<]*10.0.0.0/99', page)
    page = admin.send("/people/new", {**form, "ip_filters": ""}).body.decode()
    assert "Name at least one" in page


def test_a_form_sent_twice_makes_one_person(admin, world):
    admin.see("/people/new")
    form = {"name": "Ada", "sort": "service", "allow_api": "on", "reach": "everywhere"}
    form |= {"once": once(admin)}
    first, second = admin.send("/people/new", form), admin.send("/people/new", form)
    assert (first.status, second.status) == (303, 303)
    assert made_of(first) == made_of(second)
    assert second.headers["location"].endswith("?done=before")
    assert user(world, made_of(first)).sort == "service"
    again = admin.send("/people/new", {**form, "once": ""})
    assert again.status == 422
    assert re.search(r'id="name-fault"[^>]*>another record already has', again.body.decode())


def test_a_change_of_a_record_that_moved_on_is_refused(admin, owner, world):
    other = people.colleague(world, owner, "own:keys.read")
    admin.see(f"/people/{other.id}/change")
    form = {"name": "Bea", "version": "0", "allow_api": "on", "reach": "everywhere"}
    assert admin.send(f"/people/{other.id}/change", form).status == 200
    assert admin.send(f"/people/{other.id}/change", {**form, "name": "Cid"}).status == 409
    assert user(world, other.id).name == "Bea"
    garbled = admin.send(f"/people/{other.id}/change", {**form, "version": "1e9"})
    assert garbled.status == 409


def test_who_would_shut_themselves_out_is_asked_and_somebody_else_is_not(admin, owner, world):
    form = {"name": "Owner", "allow_api": "on", "reach": "listed", "ip_filters": "203.0.113.0/24"}
    admin.see(f"/people/{owner.id}/change")
    asked = admin.send(f"/people/{owner.id}/change", form)
    assert asked.status == 422
    assert "you would shut yourself out" in asked.body.decode()
    assert user(world, owner.id).networks is None
    kept = {**form, "own_address": "on"}
    assert admin.send(f"/people/{owner.id}/change", kept).status == 200
    assert admin.address in user(world, owner.id).networks
    other = people.colleague(world, owner, "own:keys.read")
    assert admin.send(f"/people/{other.id}/change", {**form, "name": "B"}).status == 200
    assert admin.send(f"/people/{owner.id}/change", {**form, "sure": "on"}).status == 200
    assert admin.see("/people").status == 403


def test_disabling_gives_a_receipt_and_ends_sessions_at_once(server, admin, owner, world):
    other = people.colleague(world, owner, "own:keys.read")
    theirs = visiting(server, other)
    admin.see(f"/people/{other.id}/disable")
    assert "and their sessions end" in admin.page
    answer = admin.send(f"/people/{other.id}/disable", {"version": "0"})
    assert "Receipt: journal number" in answer.body.decode()
    assert not theirs.is_signed_in()
    assert admin.send(f"/people/{other.id}/enable").status == 200
    assert user(world, other.id).active
    lone = admin.send(f"/people/{owner.id}/disable")
    assert lone.status == 409
    assert "without an active user who can manage" in lone.body.decode()


def test_the_switch_keeps_programs_out_and_lets_them_in(admin, owner, world):
    other = people.colleague(world, owner, "own:keys.read")
    admin.see(f"/people/{other.id}/api")
    assert "Switch API access off for" in admin.page
    answer = admin.send(f"/people/{other.id}/api", {"allow": "off"})
    assert "API access is off." in answer.body.decode()
    assert not user(world, other.id).api
    admin.send(f"/people/{other.id}/api", {"allow": "on"})
    assert user(world, other.id).api


def test_roles_are_given_and_taken_and_never_more_than_one_holds(server, admin, owner, world):
    other = people.colleague(world, owner, "own:keys.read")
    reads = world.role(owner.tenant_id, ["storage:read"])
    held = {"project_id": owner.project_id, "role_id": reads}
    admin.see(f"/people/{other.id}")
    assert f'value="{reads}"' in admin.page
    given = admin.send(f"/people/{other.id}/roles", held).body.decode()
    assert "The role was given." in given
    assert "Receipt" in given
    few = visiting(server, people.colleague(world, owner, READ, WRITE, "manage:roles.read"))
    few.see(f"/people/{other.id}")
    assert f'<option value="{reads}"' not in few.page
    refused = few.send(f"/people/{owner.id}/roles", held)
    assert refused.status == 403
    assert "storage:read" in refused.body.decode()
    assert "The role was taken." in admin.send(f"/people/{other.id}/take", held).body.decode()
    assert admin.send(f"/people/{other.id}/take", held).status == 404
    table = schema.role_assignment
    wanted = sa.select(table).where(table.c.role_id == reads)
    assert world.all(wanted) == []


def test_taking_ones_own_role_asks_first(admin, owner, world):
    role = world.role(owner.tenant_id, ["storage:read"])
    world.assign(owner.id, owner.project_id, role)
    admin.see(f"/people/{owner.id}")
    held = {"project_id": owner.project_id, "role_id": role}
    assert f"/people/{owner.id}/take?{urlencode(held)}" in admin.page
    assert admin.see(f"/people/{owner.id}/take?{urlencode(held)}").status == 200
    assert "This is you" in admin.page
    nothing = {**held, "role_id": "r-nothing"}
    assert admin.see(f"/people/{owner.id}/take?{urlencode(nothing)}").status == 404


def test_a_password_is_in_one_answer_and_signs_in(server, admin, owner, world):
    other = people.colleague(world, owner, "own:keys.read")
    admin.see(f"/people/{other.id}/password")
    form = {"namespace": "latchgate", "login": other.login}
    answer = admin.send(f"/people/{other.id}/password", form)
    assert answer.headers["cache-control"] == "no-store"
    found = re.findall(r'class="secret"[^>]*>([^<]+)<', answer.body.decode())
    assert found[0] == other.login
    password = found[1]
    for path in (f"/people/{other.id}", f"/people/{other.id}/password", "/people"):
        admin.see(path)
        assert password not in admin.page
    assert all(password not in str(row) for row in world.journal())
    theirs = Visitor(server)
    theirs.see("/sign-in")
    form = {"login": other.login, "password": password, "next": "/security"}
    assert theirs.send("/sign-in", form).status == 303
    assert theirs.is_signed_in()
    taken = admin.send(f"/people/{other.id}/password", {"login": owner.login})
    assert taken.status == 422
    answer = admin.send(f"/people/{other.id}/password/take", {"namespace": "latchgate"})
    assert "The password was taken." in answer.body.decode()
    assert not theirs.is_signed_in()
    assert admin.see(f"/people/{other.id}/password/take?namespace=nowhere").status == 404


def test_a_password_is_not_issued_for_who_holds_more(server, owner, world):
    few = visiting(server, people.colleague(world, owner, READ, WRITE))
    few.see(f"/people/{owner.id}/password")
    answer = few.send(f"/people/{owner.id}/password", {"namespace": "latchgate"})
    assert answer.status == 403
    assert few.send(f"/people/{owner.id}/factors").status == 403


def test_nobody_is_linked_where_no_provider_is_believed(admin, owner):
    assert admin.see(f"/people/{owner.id}/link").status == 200
    assert "No identity provider is believed" in admin.page
    form = {"issuer": ISSUER, "subject": "1"}
    assert admin.send(f"/people/{owner.id}/link", form).status == 422


def test_storage_is_told_with_faults_beside_their_fields(admin, owner):
    admin.see(f"/people/{owner.id}/storage")
    form = {"node": "Files", "quota": "1000", "used": "10", "version": "0"}
    page = admin.send(f"/people/{owner.id}/storage", form).body.decode()
    assert re.search(r'id="node-fault"[^>]*>Use a host name', page)
    page = admin.send(f"/people/{owner.id}/storage", {**form, "quota": "many"}).body.decode()
    assert re.search(r'id="quota-fault"[^>]*>Use a whole number', page)
    form |= {"node": "files1.example.net"}
    assert admin.send(f"/people/{owner.id}/storage", form).status == 303
    admin.see(f"/people/{owner.id}?done=storage")
    assert "files1.example.net" in admin.page
    assert admin.send(f"/people/{owner.id}/storage", form).status == 409


def test_a_subaccount_opens_upclouds_api_with_the_password_that_was_typed(admin, owner, world):
    admin.see("/people/subaccount")
    form = {"username": "zoe", "password": "x", "repeated": "y", "allow_api": "on"}
    page = admin.send("/people/subaccount", form).body.decode()
    assert re.search(r'id="username-fault"[^>]*>must have 4 to 64', page)
    form |= {"username": f"sub{owner.login}"}
    page = admin.send("/people/subaccount", {**form, "email": "nobody"}).body.decode()
    assert re.search(r'id="email-fault"[^>]*>Write it as NAME@HOST.', page)
    page = admin.send("/people/subaccount", form).body.decode()
    assert "The two passwords are not the same." in page
    form |= {"password": "short", "repeated": "short"}
    page = admin.send("/people/subaccount", form).body.decode()
    assert 'id="password-fault"' in page
    assert "short" not in re.sub(r'id="password-fault".*?</p>', "", page, flags=re.DOTALL)
    password = "correct battery of horses 7"
    form |= {"password": password, "repeated": password}
    nowhere = admin.send("/people/subaccount", {**form, "reach": "nowhere"})
    assert nowhere.status == 422
    made = admin.send("/people/subaccount", form)
    assert made.status == 303, made.body
    row = world.one(sa.select(schema.user).where(schema.user.c.name == form["username"]))
    assert (row.sort, row.tenant_id) == ("sub", owner.tenant_id)
    assert made.headers["location"] == f"/people/{row.id}?done=subaccount"
    again = admin.send("/people/subaccount", form)
    assert re.search(r'id="username-fault"', again.body.decode())
    assert password not in again.body.decode()


def test_where_somebody_is_signed_in_is_for_who_may_read_the_journal(server, admin, owner, world):
    admin.see(f"/people/{owner.id}")
    assert "Signed in now" in admin.page
    seeing = visiting(server, people.colleague(world, owner, READ))
    seeing.see(f"/people/{owner.id}")
    assert "Signed in now" not in seeing.page
    assert session.COOKIE not in seeing.page


def test_a_link_is_made_once_shown_and_taken_away(admin, owner, world):
    # The last of this file, as every test after it would have the provider, too.
    believed = f'[kinds.oidc_bearer]\nissuer = "{ISSUER}"\njwks_uri = "{ISSUER}/certs"\n'
    text = f'{FILES["wayscloud.toml"]}\n{believed}audience = "a"\n'
    world.publish({**FILES, "wayscloud.toml": text})
    until = time.monotonic() + 30
    while f'value="{ISSUER}"' not in admin.page and time.monotonic() < until:
        admin.see(f"/people/{owner.id}/link")
    form = {"issuer": ISSUER, "subject": "zoe-1", "once": once(admin)}
    for _ in range(2):
        assert admin.send(f"/people/{owner.id}/link", form).status == 303
    # Their own page names it too, though nobody signs in here through that issuer.
    assert admin.see("/security").status == 200
    assert ISSUER in admin.page
    admin.see(f"/people/{owner.id}")
    (link,) = set(re.findall(r"unlink\?link_id=([\w.-]+)", admin.page))
    answer = admin.send(f"/people/{owner.id}/link", {**form, "once": ""})
    assert re.search(r'id="subject-fault"', answer.body.decode())
    assert admin.see(f"/people/{owner.id}/unlink?link_id={link}").status == 200
    answer = admin.send(f"/people/{owner.id}/unlink", {"link_id": link})
    assert "The link was taken away." in answer.body.decode()
    assert admin.see(f"/people/{owner.id}/unlink?link_id={link}").status == 404


@pytest.mark.parametrize("page", ["password", "password/take", "factors", "link", "unlink"])
def test_who_changes_how_somebody_signs_in_proves_lately_that_it_is_they(admin, world, owner, page):
    path = f"/people/{owner.id}/{page}"
    old = time.time() - session.FRESH_SECONDS - 1
    with world.store.writing() as connection:
        table = schema.session
        connection.execute(
            sa.update(table).where(table.c.user_id == owner.id).values(auth_time=old)
        )
    for answer in (admin.see(path), admin.send(path, {})):
        assert answer.status == 303
        assert answer.headers["location"].startswith("/sign-in?")
        assert "again=1" in answer.headers["location"]
