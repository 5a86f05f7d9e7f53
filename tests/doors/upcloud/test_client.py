"""The provider's own Python client (PyPI upcloud-api) against the real server."""

from __future__ import annotations

import pytest
import upcloud_api
from tests.doors.upcloud.client import SCOPES, Client, bearer
from upcloud_api.errors import UpCloudAPIError

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

PASSWORD = "seven otters juggle lanterns"


@pytest.fixture(scope="module")
def main(server, world):
    owner = world.somebody(*SCOPES)
    made = Client(server, bearer(world, owner), owner)
    body = {"sub_account": {"username": "python_sub", "password": PASSWORD}}
    made.json("POST", "/account/sub", body, status=204)
    return made


@pytest.fixture
def cloud(main):
    """Return a way to make the client, with only the host changed."""

    def made(**credentials):
        manager = upcloud_api.CloudManager(timeout=30, **credentials)
        manager.api.api_root = f"{main.server.addresses['api']}/1.3"
        return manager

    return made


def with_token(main):
    return {"token": main.headers["Authorization"].removeprefix("Bearer ")}


def with_basic(_main):
    return {"username": "python_sub", "password": PASSWORD}


@pytest.mark.parametrize("how", [with_token, with_basic])
def test_it_authenticates_reads_its_account_and_makes_lists_and_deletes_a_token(main, cloud, how):
    manager = cloud(**how(main))
    manager.authenticate()
    account = manager.get_account()["account"]
    assert set(account) == {"credits", "username", "resource_limits"}
    api = manager.api
    made = api.post_request("/account/tokens", {"name": how.__name__, "expires_in": "1h"})
    assert made["token"].startswith("ucat_")
    assert cloud(token=made["token"]).get_account()["account"] == account
    shown = api.get_request(f"/account/tokens/{made['id']}")
    assert (shown["name"], "token" in shown) == (how.__name__, False)
    listed = api.get_request("/account/tokens", params={"limit": 100, "sort": "-name"})
    assert made["id"] in [one["id"] for one in listed]
    assert api.delete_request(f"/account/tokens/{made['id']}") == {}
    with pytest.raises(UpCloudAPIError) as caught:
        cloud(token=made["token"]).authenticate()
    assert caught.value.error_code == "AUTHENTICATION_FAILED"


def test_it_reads_every_shape_of_error(main, cloud):
    api = cloud(**with_token(main)).api
    with pytest.raises(UpCloudAPIError) as caught:
        cloud(username="python_sub", password="not that one at all").authenticate()
    assert caught.value.error_code == "AUTHENTICATION_FAILED"
    assert "username and password" in caught.value.error_message
    with pytest.raises(UpCloudAPIError) as caught:
        api.post_request("/account/tokens", {"name": "x", "expires_in": "9999h"})
    assert caught.value.error_code == "Validation error."
    assert "ERROR_INVALID_REQUEST" in caught.value.error_message
    for method, path, code in (
        (api.get_request, "/no/such/path", "NOT_FOUND"),
        (api.put_request, "/account", "METHOD_NOT_ALLOWED"),
        (api.get_request, "/account/details/nobody", "USER_NOT_FOUND"),
    ):
        with pytest.raises(UpCloudAPIError) as caught:
            method(path)
        assert caught.value.error_code == code


def test_it_manages_a_subaccount_and_its_permissions(main, cloud):
    api = cloud(**with_token(main)).api
    assert (
        api.post_request(
            "/account/sub", {"sub_account": {"username": "py_sub_two", "password": PASSWORD}}
        )
        == {}
    )
    told = api.put_request("/account/details/py_sub_two", {"account": {"city": "Oulu"}})
    assert told["account"]["city"] == "Oulu"
    permission = {"user": "py_sub_two", "target_type": "server", "target_identifier": "*"}
    api.post_request("/permission/grant", {"permission": permission})
    assert api.get_request("/permission")["permissions"]["permission"] == [permission]
    assert api.delete_request("/account/sub/py_sub_two") == {}
    assert api.get_request("/permission")["permissions"]["permission"] == []
