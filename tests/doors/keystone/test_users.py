"""A token's user and their projects, over HTTP; nobody sees anybody else's."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import pytest
import sqlalchemy as sa
from tests.doors.keystone.cloud import V3, error

from latchgate.core.model import Noun
from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.fixture(scope="module")
def token(cloud, key):
    return cloud.token(key)


def shown(cloud, owner, project_id, *, enabled=True):
    """A project as the document's own example shows one."""
    return {
        "id": project_id,
        "name": cloud.named(schema.project, project_id),
        "domain_id": owner.tenant_id,
        "description": "",
        "enabled": enabled,
        "parent_id": owner.tenant_id,
        "is_domain": False,
        "tags": [],
        "options": {},
        "links": {"self": f"{cloud.url}{V3}/projects/{project_id}"},
    }


def test_the_documents_project_list_shows_where_the_user_has_roles(cloud, alice, token):
    path = f"{V3}/users/{alice.user_id}/projects"
    wanted = {
        "projects": [shown(cloud, alice, alice.project_id)],
        "links": {"next": None, "self": f"{cloud.url}{path}", "previous": None},
    }
    # The header as the document writes it.
    told = cloud.ask("GET", path, headers={"X-Auth-token": token})
    assert (told.status, told.json) == (200, wanted)
    assert cloud.ask("GET", f"{path}/", token).json == wanted


def test_links_lead_to_what_they_name_with_identity_and_without(cloud, alice, token):
    listed = cloud.ask("GET", f"{V3}/users/{alice.user_id}/projects", token).json
    path = urlsplit(listed["projects"][0]["links"]["self"]).path
    for link in (path, path.removeprefix("/identity")):
        assert cloud.ask("GET", link, token).json == {"project": listed["projects"][0]}


def test_projects_can_be_filtered_by_name_and_by_whether_they_are_enabled(cloud):
    who = cloud.person()
    world = cloud.world
    off = world.project(who.tenant_id)
    cloud.give(who, "Reader", off)
    gone = sa.update(schema.project).where(schema.project.c.id == off).values(active=False)
    world.change(Noun.PROJECT, off, gone)
    token = cloud.token(cloud.key(who))
    on = shown(cloud, who, who.project_id)
    disabled = shown(cloud, who, off, enabled=False)
    path = f"{V3}/users/{who.user_id}/projects"

    def listed(query):
        return cloud.ask("GET", path + query, token).json["projects"]

    assert {one["id"] for one in listed("")} == {on["id"], off}
    assert listed("?enabled=true") == [on]
    assert listed("?enabled=false") == [disabled]
    assert listed(f"?name={quote(on['name'])}") == [on]
    assert listed("?name=nope") == []
    assert listed("?domain_id=elsewhere") == []
    assert cloud.ask("GET", f"{V3}/auth/projects", token).json["projects"] == [on]
    assert cloud.ask("GET", f"{V3}/auth/projects", token).json["links"]["self"] == (
        f"{cloud.url}{V3}/auth/projects"
    )


def test_a_token_without_a_project_lists_those_it_may_be_exchanged_for(cloud, alice, password):
    token = cloud.signed_in(alice, password)
    told = cloud.ask("GET", f"{V3}/auth/projects", token).json["projects"]
    assert told == [shown(cloud, alice, alice.project_id)]


def test_the_user_is_told_of_themselves(cloud, alice, token):
    told = cloud.ask("GET", f"{V3}/users/{alice.user_id}", token)
    assert told.json == {
        "user": {
            "id": alice.user_id,
            "name": cloud.named(schema.user, alice.user_id),
            "domain_id": alice.tenant_id,
            "enabled": True,
            "password_expires_at": None,
            "options": {},
            "links": {"self": f"{cloud.url}{V3}/users/{alice.user_id}"},
        }
    }


@pytest.mark.parametrize(
    ("below", "action"),
    [
        ("", "get_user"),
        ("/projects", "list_user_projects"),
        ("/application_credentials", "list_application_credentials"),
        ("/application_credentials/x", "get_application_credential"),
        ("/access_rules", "list_access_rules"),
        ("/access_rules/x", "get_access_rule"),
    ],
)
def test_nobody_is_told_of_anybody_else_nor_whether_there_is_one(
    cloud, alice, token, below, action
):
    colleague = cloud.person("Admin", tenant_id=alice.tenant_id)
    for user_id in (colleague.user_id, "nobody"):
        refused = cloud.ask("GET", f"{V3}/users/{user_id}{below}", token)
        assert refused.status == 403
        assert error(refused)["message"] == (
            f"You are not authorized to perform the requested action: identity:{action}."
        )


def test_a_project_of_others_is_not_there(cloud, alice, token):
    colleague = cloud.person(tenant_id=alice.tenant_id)
    for project_id in (colleague.project_id, "nope"):
        refused = cloud.ask("GET", f"{V3}/projects/{project_id}", token)
        assert refused.status == 404
        assert error(refused)["message"] == f"Could not find project: {project_id}."
