"""Tenants, projects and roles at the console: rights, faults, one of two sent, never more.

One server for the three nouns.
"""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from tests import people
from tests.doors.console.visitor import Visitor

from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.fixture
def owner(world):
    return people.owner(world)


@pytest.fixture
def admin(visitor: Visitor, owner) -> Visitor:
    visitor.sign_in(owner)
    return visitor


@pytest.fixture
def operator(server, world) -> Visitor:
    return visiting(server, people.person(world, "*"))


def visiting(server, who) -> Visitor:
    made = Visitor(server)
    made.sign_in(who)
    return made


def row(world, table, record):
    return world.one(sa.select(table).where(table.c.id == record))


def once(visitor: Visitor) -> str:
    found = re.search(r'name="once" value="([0-9a-f]+)"', visitor.page)
    assert found is not None
    return found[1]


def made_of(answer) -> str:
    return str(answer.headers["location"]).partition("?")[0].rpartition("/")[2]


def choose(visitor: Visitor, path: str, *pairs: tuple[str, str]):
    """Send a form in which a field comes several times."""
    return visitor.ask("POST", path, urlencode([("csrf", visitor.token), *pairs]).encode())


def test_who_has_no_right_gets_no_page_and_no_entry(server, world, owner):
    reads = ("manage:projects.read", "manage:roles.read")
    seeing = visiting(server, people.colleague(world, owner, *reads))
    role = world.role(owner.tenant_id, ["storage:read"])
    for noun, record in (("projects", owner.project_id), ("roles", role)):
        assert seeing.see(f"/{noun}").status == 200
        assert f"/{noun}/new" not in seeing.page
        assert seeing.see(f"/{noun}/{record}").status == 200
        # Who may list neither people nor what they hold is told of neither.
        assert owner.id not in seeing.page
        assert seeing.see(f"/{noun}/new").status == 403
        assert seeing.send(f"/{noun}/new", {"name": "x"}).status == 403
    assert seeing.send(f"/projects/{owner.project_id}/disable").status == 403
    assert seeing.send(f"/roles/{role}/delete").status == 403
    other = visiting(server, people.colleague(world, owner, "own:keys.read"))
    other.see("/security")
    for noun in ("projects", "roles", "tenants"):
        assert f'href="/{noun}"' not in other.page
        assert other.see(f"/{noun}").status == 403


def test_tenants_are_the_operators_alone(admin, owner, world):
    assert admin.see("/tenants").status == 403
    for page in ("", "/rename", "/suspend"):
        assert admin.see(f"/tenants/{owner.tenant_id}{page}").status == 403
    for page in ("suspend", "reinstate", "rename"):
        assert admin.send(f"/tenants/{owner.tenant_id}/{page}").status == 403
    assert admin.send("/tenants/new", {"name": "x", "user": "y"}).status == 403
    assert row(world, schema.tenant, owner.tenant_id).active


def test_a_record_of_another_tenant_is_not_there(admin, world):
    other = people.owner(world)
    role = world.role(other.tenant_id, ["storage:read"])
    project = f"/projects/{other.project_id}"
    for path in (project, f"{project}/rename", f"{project}/disable", f"/roles/{role}"):
        assert admin.see(path).status == 404
    for path in (f"{project}/disable", f"{project}/enable", f"/roles/{role}/delete"):
        assert admin.send(path).status == 404
    for path in (f"{project}/rename", f"/roles/{role}/change"):
        assert admin.send(path, {"name": "mine"}).status == 404
    assert row(world, schema.project, other.project_id).active


def test_nothing_is_taken_without_the_token_of_a_page(operator, owner):
    paths = [f"/{noun}/new" for noun in ("projects", "roles", "tenants")]
    paths += [f"/projects/{owner.project_id}/{page}" for page in ("rename", "disable", "enable")]
    paths += ["/roles/r-1/change", "/roles/r-1/delete"]
    paths += [f"/tenants/{owner.tenant_id}/{one}" for one in ("rename", "suspend", "reinstate")]
    for path in paths:
        assert operator.ask("POST", path, {"csrf": "0" * 64}).status == 403, path


def test_a_project_is_made_once_renamed_and_switched_off_with_a_receipt(admin, owner, world):
    admin.see("/projects/new")
    form = {"name": "Website", "once": once(admin)}
    first, second = admin.send("/projects/new", form), admin.send("/projects/new", form)
    made = made_of(first)
    assert made == made_of(second)
    page = admin.send("/projects/new", {"name": "Website"}).body.decode()
    assert re.search(r'id="name-fault"[^>]*>another record already has', page)
    assert 'id="name-fault"' in admin.send("/projects/new", {"name": " "}).body.decode()
    version = row(world, schema.project, made).version
    renamed = {"name": "Shop", "version": f"{version}"}
    assert admin.send(f"/projects/{made}/rename", renamed).status == 303
    assert admin.send(f"/projects/{made}/rename", renamed).status == 409
    assert row(world, schema.project, made).name == "Shop"
    assert admin.see(f"/projects/{made}/disable").status == 200
    answer = admin.send(f"/projects/{made}/disable").body.decode()
    assert "The project was disabled." in answer
    assert "Receipt: journal number" in answer
    assert "The project was enabled." in admin.send(f"/projects/{made}/enable").body.decode()
    lone = admin.send(f"/projects/{owner.project_id}/disable")
    assert lone.status == 409
    assert "without an active user who can manage" in lone.body.decode()


def test_a_project_and_a_role_show_who_holds_what(admin, owner, world):
    role = world.role(owner.tenant_id, ["storage:read"])
    other = people.colleague(world, owner, "own:keys.read")
    world.assign(other.id, owner.project_id, role)
    for path in (f"/projects/{owner.project_id}", f"/roles/{role}"):
        admin.see(path)
        assert f'href="/people/{other.id}"' in admin.page, path
    # Of the two, the owner has another role.
    assert f'href="/people/{owner.id}"' not in admin.page
    assert "storage:read" in admin.page


def test_a_form_for_a_role_offers_what_one_holds_and_no_more_is_taken(server, owner, world):
    rights = ("manage:roles.read", "manage:roles.write", "storage:read")
    few = visiting(server, people.colleague(world, owner, *rights))
    whole = world.role(owner.tenant_id, ["storage:read", "storage:write"])
    less = world.role(owner.tenant_id, ["storage:read"])
    few.see("/roles/new")
    assert 'value="storage:read"' in few.page
    assert 'value="storage:write"' not in few.page
    assert f'value="{less}"' in few.page
    assert f'value="{whole}"' not in few.page
    wide = choose(few, "/roles/new", ("name", "wide"), ("scopes", "storage:write"))
    assert wide.status == 403
    assert "storage:write" in wide.body.decode()
    assert choose(few, "/roles/new", ("name", "wide"), ("implies", whole)).status == 403
    # What a role holds already may be taken out by who does not hold it.
    few.see(f"/roles/{whole}/change")
    assert 'value="storage:write" checked' in few.page
    kept = choose(few, f"/roles/{whole}/change", ("name", "less"), ("scopes", "storage:read"))
    assert "Receipt" in kept.body.decode()
    assert row(world, schema.role, whole).scopes == '["storage:read"]'


def test_a_role_is_made_once_changed_by_who_saw_it_last_and_deleted(admin, owner, world):
    admin.see("/roles/new")
    form = (("name", "reader"), ("scopes", "storage:read"), ("scopes", "dav:read"))
    sent = [choose(admin, "/roles/new", *form, ("once", once(admin))) for _ in range(2)]
    made = made_of(sent[0])
    assert made == made_of(sent[1])
    assert "done=before" in sent[1].headers["location"]
    assert row(world, schema.role, made).scopes == '["dav:read","storage:read"]'
    again = choose(admin, "/roles/new", *form)
    assert re.search(r'id="name-fault"', again.body.decode())
    assert 'value="dav:read" checked' in again.body.decode()
    foreign = choose(admin, "/roles/new", ("name", "x"), ("scopes", "gone:read"))
    assert re.search(r'id="scopes-fault"[^>]*>gone:read not among', foreign.body.decode())
    upper = made_of(choose(admin, "/roles/new", ("name", "upper"), ("implies", made)))
    admin.see(f"/roles/{upper}")
    assert "And by the roles that it implies" in admin.page
    # None that implies it can be implied by it.
    admin.see(f"/roles/{made}/change")
    assert f'value="{upper}"' not in admin.page
    circle = choose(admin, f"/roles/{made}/change", ("name", "reader"), ("implies", upper))
    assert re.search(r'id="implies-fault"', circle.body.decode())
    stale = choose(admin, f"/roles/{made}/change", ("name", "reader"), ("version", "1"))
    assert stale.status == 409
    assert "implied by upper" in admin.send(f"/roles/{made}/delete").body.decode()
    assert admin.send(f"/roles/{upper}/delete").status == 303
    assert admin.send(f"/roles/{made}/delete").status == 303
    assert admin.see(f"/roles/{made}").status == 404


def test_ones_own_administration_is_not_taken_out_of_the_last_role(admin, owner, world):
    wanted = sa.select(schema.role_assignment).where(schema.role_assignment.c.user_id == owner.id)
    role = world.one(wanted).role_id
    form = (("name", "role"), ("scopes", "storage:read"))
    admin.see(f"/roles/{role}/change")
    answer = choose(admin, f"/roles/{role}/change", *form)
    assert answer.status == 422
    assert re.search(r'id="scopes-fault"[^>]*>this would leave', answer.body.decode())


def test_a_tenants_first_token_is_in_one_answer_and_a_repeat_says_so(operator, server, world):
    operator.see("/tenants/new")
    form = {"name": "Acme", "user": "coyote", "project": "default", "once": once(operator)}
    page = operator.send("/tenants/new", {**form, "email": "x"}).body.decode()
    assert re.search(r'id="email-fault"[^>]*>Write it as NAME@HOST.', page)
    first, second = operator.send("/tenants/new", form), operator.send("/tenants/new", form)
    (token,) = set(re.findall(r"latchgate_manage_\w+", first.body.decode()))
    assert second.status == 303
    operator.see(second.headers["location"])
    assert "its token was shown then" in operator.page
    assert token not in operator.page
    assert all(token not in str(one) for one in world.journal())
    tenant = made_of(second)
    taken = operator.send("/tenants/new", {**form, "once": ""}).body.decode()
    assert re.search(r'id="name-fault"', taken)
    renamed = {"name": "Acme Ltd", "version": f"{row(world, schema.tenant, tenant).version}"}
    assert operator.send(f"/tenants/{tenant}/rename", renamed).status == 303
    assert operator.see(f"/tenants/{tenant}/suspend").status == 200
    answer = operator.send(f"/tenants/{tenant}/suspend").body.decode()
    assert "The tenant was suspended." in answer
    assert "Receipt: journal number" in answer
    assert not row(world, schema.tenant, tenant).active
    operator.send(f"/tenants/{tenant}/reinstate")
    assert row(world, schema.tenant, tenant).active


def test_an_operator_does_not_suspend_their_own_tenant(operator, world):
    own = world.owner.tenant_id
    operator.see(f"/tenants/{own}")
    assert f"/tenants/{own}/suspend" not in operator.page
    assert operator.send(f"/tenants/{own}/suspend").status == 409
    assert row(world, schema.tenant, own).active
