"""Versions, the catalog and what there is none of, over HTTP."""

from __future__ import annotations

import pytest
from tests.doors.keystone.cloud import V3, error

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.fixture(scope="module")
def token(cloud, key):
    return cloud.token(key)


@pytest.mark.parametrize("path", ["/identity", "/identity/"])
def test_the_versions_are_a_choice_of_one(cloud, path):
    told = cloud.ask("GET", path)
    assert told.status == 300
    assert told.headers["location"] == f"{cloud.url}{V3}/"
    (one,) = told.json["versions"]["values"]
    assert one == {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": f"{cloud.url}{V3}/"}],
        "media-types": [
            {
                "base": "application/json",
                "type": "application/vnd.openstack.identity-v3+json",
            }
        ],
    }
    assert cloud.ask("HEAD", path).status == 300


@pytest.mark.parametrize("path", ["/identity/v3", "/identity/v3/", "/v3", "/v3/"])
def test_the_version_is_told_without_a_token_and_its_link_names_identity(cloud, path):
    told = cloud.ask("GET", path, headers={"Host": "evil.example"})
    assert told.status == 200
    assert told.json["version"]["links"][0]["href"] == f"{cloud.url}{V3}/"
    head = cloud.ask("HEAD", path)
    assert (head.status, head.body) == (200, b"")


def test_the_catalog_is_that_of_the_token(cloud, token, alice, password):
    told = cloud.ask("GET", f"{V3}/auth/catalog", token)
    assert told.status == 200
    assert told.json["links"]["self"] == f"{cloud.url}{V3}/auth/catalog"
    shown = cloud.ask("GET", f"{V3}/auth/tokens", token, subject=token)
    assert told.json["catalog"] == shown.json["token"]["catalog"]
    unscoped = cloud.ask("GET", f"{V3}/auth/catalog", cloud.signed_in(alice, password))
    assert unscoped.status == 403
    assert "A project-scoped token is required" in error(unscoped)["message"]


def test_tokens_for_domains_or_the_system_there_are_none(cloud, token):
    told = cloud.ask("GET", f"{V3}/auth/domains", token)
    links = {"next": None, "self": f"{cloud.url}{V3}/auth/domains", "previous": None}
    assert told.json == {"domains": [], "links": links}
    told = cloud.ask("GET", f"{V3}/auth/system", token)
    assert told.json == {"system": [], "links": {"self": f"{cloud.url}{V3}/auth/system"}}
