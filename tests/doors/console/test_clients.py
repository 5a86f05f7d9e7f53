"""OAuth2 clients: made once with a secret shown once, changed, ended; those of a tenant let act."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from tests import people
from tests.acting import acting_client, service_user
from tests.minting import Minting, approved, client
from tests.world import Owner

from latchgate.config import load
from latchgate.keyring import master
from latchgate.manage import client_grants, oauth_clients
from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

READ, WRITE = "operator:oauth-clients.read", "operator:oauth-clients.write"
APPLICATIONS = ("operator:applications.read", "operator:applications.write")
ACTING = ("manage:oauth-clients.read", "manage:oauth-clients.write")
NEW = {
    "of": "new",
    "name": "Photos <b>",
    "vendor": "Example",
    "contact": "a@example.com",
    "developer": "corporation",
    "purpose": "Albums.",
    "kind": "confidential",
    "grant_types": "authorization_code",
    "scopes": "storage:read",
    "redirect_uris": "https://photos.example/callback\r\nhttps://photos.example/other",
    "post_logout_redirect_uris": "",
    "tenant_id": "",
}
ONCE = re.compile(r'name="once" value="([0-9a-f]{32})"')
SECRET = re.compile(rb'id="part-2">([^<]+)<')


@pytest.fixture
def policy(world):
    return world.engine().policy


@pytest.fixture
def boss(visitor, world):
    """A browser of somebody who may do everything with clients and applications."""
    visitor.sign_in(people.person(world, READ, WRITE, *APPLICATIONS))
    return visitor


def shown(world, policy, client_id):
    return oauth_clients.shown(world.store, policy, client_id, now=world.clock())


def count(world):
    return world.one(sa.select(sa.func.count()).select_from(schema.oauth_client))[0]


def once(visitor, path):
    visitor.see(path)
    (found,) = ONCE.findall(visitor.page)
    return found


def test_a_form_that_is_sent_twice_makes_one_client_and_shows_its_secret_once(
    boss, world, policy, server
):
    form, before = NEW | {"once": once(boss, "/clients/new")}, count(world)
    assert boss.send("/clients/new", {**form, "csrf": ""}).status == 403
    made = boss.send("/clients/new", form)
    assert made.status == 200
    assert made.headers["cache-control"] == "no-store"
    (secret,) = SECRET.findall(made.body)
    again = boss.send("/clients/new", form)
    assert (again.status, secret in again.body) == (200, False)
    assert b"This form made it before." in again.body
    assert count(world) == before + 1
    (client_id,) = re.findall(rb'id="part-1">([^<]+)<', made.body)
    found = shown(world, policy, client_id.decode())
    assert (found.application_name, found.application_state) == ("Photos <b>", "approved")
    assert found.redirect_uris == NEW["redirect_uris"].split("\r\n")
    page = boss.see(f"/clients/{found.id}").body
    assert secret not in page
    assert b"Photos &lt;b&gt;" in page
    assert secret.decode() not in server.log
    assert boss.send("/clients/new", form | {"name": "Another"}).status == 422


def test_each_fault_stands_at_its_field_and_what_was_typed_stays(boss, world):
    before = count(world)
    boss.see("/clients/new")
    wrong = NEW | {
        "name": "",
        "contact": "nobody",
        "redirect_uris": "http://photos.example/cb",
        "vendor": "Typed",
    }
    refused = boss.send("/clients/new", wrong)
    page = refused.body.decode()
    assert refused.status == 422
    for field in ("name", "contact", "redirect_uris"):
        assert f'id="{field}-fault"' in page, field
    assert 'id="vendor-fault"' not in page
    assert 'value="Typed"' in page
    assert "regex" not in page
    assert re.search(r'value="storage:read" checked', page)
    of_none = boss.send("/clients/new", NEW | {"of": "existing", "application_id": ""})
    assert (of_none.status, b'id="application_id-fault"' in of_none.body) == (422, True)
    nothing = {name: text for name, text in NEW.items() if name != "grant_types"}
    unchosen = boss.send("/clients/new", nothing)
    assert (unchosen.status, b'id="grant_types-fault"' in unchosen.body) == (422, True)
    assert count(world) == before


def test_a_public_client_of_an_approved_application_has_no_secret_to_show(boss, world, policy):
    app = approved(world)
    boss.see(f"/clients/new?application_id={app}")
    assert f'value="{app}"' in boss.page
    form = {"of": "existing", "application_id": app, "kind": "public", "grant_types": DEVICE}
    made = boss.send("/clients/new", {**form, "scopes": "openid"})
    assert (made.status, b"It is public: it has no secret." in made.body) == (200, True)
    assert SECRET.findall(made.body) == []
    assert b"New secret" not in made.body


DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


def test_whoever_approves_no_application_makes_clients_of_approved_ones_alone(
    visitor, world, policy
):
    visitor.sign_in(people.person(world, READ, WRITE))
    visitor.see("/clients/new")
    assert "Of a new application" not in visitor.page
    before = count(world)
    assert visitor.send("/clients/new", NEW).status == 403
    taken = client(world, policy)  # one confidential client an application
    form = NEW | {"of": "existing", "application_id": taken.application_id}
    refused = visitor.send("/clients/new", form)
    assert (refused.status, b'id="application_id-fault"' in refused.body) == (422, True)
    assert count(world) == before + 1


def test_a_client_is_changed_switched_and_ended_with_receipts(boss, world, policy):
    made = client(world, policy)
    path = f"/clients/{made.id}"
    boss.see(f"{path}/change")
    assert 'value="storage:read" checked' in boss.page
    changed = {
        "grant_types": "authorization_code",
        "scopes": "openid",
        "redirect_uris": "https://photos.example/new",
        "version": str(made.version),
    }
    wrong = boss.send(f"{path}/change", {**changed, "redirect_uris": ""})
    assert (wrong.status, b'id="redirect_uris-fault"' in wrong.body) == (422, True)
    done = boss.send(f"{path}/change", changed)
    assert (done.status, b"Receipt: journal number" in done.body) == (200, True)
    found = shown(world, policy, made.id)
    assert (found.scopes, found.redirect_uris) == (["openid"], ["https://photos.example/new"])
    assert boss.send(f"{path}/change", changed).status == 409  # somebody changed it meanwhile
    for verb, state in (("disable", "disabled"), ("enable", "active"), ("withdraw", "withdrawn")):
        version = {"version": str(shown(world, policy, made.id).version)}
        assert boss.send(f"{path}/{verb}", version | {"csrf": ""}).status == 403
        assert boss.send(f"{path}/{verb}", {"version": "1"}).status == 409
        done = boss.send(f"{path}/{verb}", version)
        assert (done.status, b"Receipt: journal number" in done.body) == (200, True)
        assert shown(world, policy, made.id).state == state
    assert f"{path}/change".encode() not in boss.see(path).body


def test_a_secret_is_made_once_shown_once_and_revoked(boss, world, policy, server):
    made = client(world, policy)
    path = f"/clients/{made.id}/secret"
    form = {"once": once(boss, path), "version": str(made.version), "grace": "7d"}
    wrong = boss.send(path, {**form, "once": "", "grace": "soon"})
    assert (wrong.status, b'id="grace-fault"' in wrong.body) == (422, True)
    done = boss.send(path, form)
    (secret,) = SECRET.findall(done.body)
    assert b"Receipt: journal number" in done.body
    again = boss.send(path, form)
    assert (again.status, secret in again.body) == (200, False)
    old, new = shown(world, policy, made.id).secrets
    assert (old.superseded_by, old.expires_at is None) == (new.id, False)
    assert secret.decode() not in server.log
    assert boss.see(f"{path}/revoke?secret={old.id}").status == 200
    assert boss.see(f"{path}/revoke?secret=cs-none").status == 404
    assert boss.send(f"{path}/revoke", {"secret": old.id, "csrf": ""}).status == 403
    ended = boss.send(f"{path}/revoke", {"secret": old.id})
    assert (ended.status, b"Receipt: journal number" in ended.body) == (200, True)
    assert [one.id for one in shown(world, policy, made.id).secrets] == [new.id]
    other = client(world, policy)
    foreign = boss.send(f"/clients/{other.id}/secret/revoke", {"secret": new.id})
    assert foreign.status == 404


def test_what_a_client_holds_is_told_by_tenant_and_names_nobody(boss, world, policy, server):
    made, somebody = client(world, policy), people.owner(world)
    minting = Minting(
        world,
        issuer=server.addresses["console"],
        master=master.load(load(server.config).master_key),
    )
    owner = Owner(somebody.tenant_id, somebody.project_id, somebody.id)
    minting.grant(made, owner, "storage:read")
    page = boss.see(f"/clients/{made.id}").body.decode()
    assert somebody.tenant_id in page
    assert somebody.id not in page


def test_whoever_reads_changes_nothing_and_whoever_owns_a_tenant_sees_none_of_the_operators(
    visitor, world, policy
):
    made = client(world, policy)
    visitor.sign_in(people.person(world, READ))
    visitor.see(f"/clients/{made.id}")
    assert "/withdraw" not in visitor.page
    changing = ("change", "disable", "enable", "withdraw", "secret", "secret/revoke")
    for below in changing:
        answer = visitor.send(f"/clients/{made.id}/{below}", {"version": str(made.version)})
        assert answer.status == 403
    assert visitor.send("/clients/new", NEW).status == 403
    visitor.sign_in(people.owner(world))
    assert visitor.see(f"/clients/{made.id}").status == 403
    visitor.see("/clients")
    assert "Clients that act by themselves" in visitor.page
    assert made.id not in visitor.page
    visitor.sign_in(people.person(world, "own:account.read"))
    assert visitor.see("/clients").status == 403
    visitor.see("/applications")
    assert 'href="/clients"' not in visitor.page
    assert shown(world, policy, made.id) == made


def test_an_administrator_lets_a_client_of_theirs_act_as_a_service_user(visitor, world, policy):
    owner = people.owner(world)
    robot = service_user(world, owner, "storage:read", "storage:write")
    made = acting_client(world, policy, owner, "storage:read", "storage:write")
    visitor.sign_in(owner)
    visitor.see("/clients")
    assert made.id in visitor.page
    path = f"/clients/{made.id}"
    visitor.see(f"{path}/act-as")
    assert robot in visitor.page
    form = {"user_id": owner.id, "scopes": "storage:read", "version": str(made.version)}
    person = visitor.send(f"{path}/act-as", form)
    assert (person.status, b'id="user_id-fault"' in person.body) == (422, True)
    unknown = visitor.send(f"{path}/act-as", form | {"user_id": "u-none"})
    assert (unknown.status, b'id="user_id-fault"' in unknown.body) == (422, True)
    more = visitor.send(f"{path}/act-as", form | {"user_id": robot, "scopes": "dns:read"})
    assert (more.status, b'id="scopes-fault"' in more.body) == (422, True)
    assert visitor.send(f"{path}/act-as", form | {"csrf": ""}).status == 403
    done = visitor.send(f"{path}/act-as", form | {"user_id": robot})
    assert (done.status, b"Receipt: journal number" in done.body) == (200, True)
    caller = world.acting(world.key(owner=Owner(owner.tenant_id, owner.project_id, owner.id)))
    found = client_grants.shown(world.store, caller, made.id)
    assert found.acts_as is not None
    assert (found.acts_as.user_id, found.acts_as.scopes) == (robot, ["storage:read"])
    # Sent once more it would end what it made: the version says that it was sent.
    assert visitor.send(f"{path}/act-as", form | {"user_id": robot}).status == 409
    version = {"version": str(found.version)}
    assert visitor.send(f"{path}/act-as-nobody", version | {"csrf": ""}).status == 403
    assert visitor.send(f"{path}/act-as-nobody", version).status == 200
    ended = client_grants.shown(world.store, caller, made.id).acts_as
    assert ended is not None
    assert ended.revoked_at is not None


def test_no_administrator_hands_out_more_than_they_hold_or_reaches_another_tenant(
    visitor, server, world, policy
):
    owner = people.owner(world)
    robot = service_user(world, owner, "storage:read", "storage:write")
    made = acting_client(world, policy, owner, "storage:read", "storage:write")
    lesser = people.colleague(world, owner, *ACTING, "manage:users.read", "storage:read")
    visitor.sign_in(lesser)
    visitor.see(f"/clients/{made.id}/act-as")
    assert 'value="storage:write"' not in visitor.page
    assert "1 more of its scopes you don't hold yourself" in visitor.page
    form = {"user_id": robot, "scopes": "storage:write", "version": str(made.version)}
    refused = visitor.send(f"/clients/{made.id}/act-as", form)
    assert (refused.status, b'id="scopes-fault"' in refused.body) == (422, True)
    visitor.sign_in(people.owner(world))
    for below in ("acting", "act-as", "act-as-nobody"):
        assert visitor.see(f"/clients/{made.id}/{below}").status == 404
    version = {"version": form["version"]}
    assert visitor.send(f"/clients/{made.id}/act-as", form).status == 404
    assert visitor.send(f"/clients/{made.id}/act-as-nobody", version).status == 404
    visitor.sign_in(people.colleague(world, owner, ACTING[0]))
    visitor.see(f"/clients/{made.id}/acting")
    assert "/act-as" not in visitor.page
    for below in ("act-as", "act-as-nobody"):
        assert visitor.send(f"/clients/{made.id}/{below}", form).status == 403
    assert shown(world, policy, made.id).grant_id is None
