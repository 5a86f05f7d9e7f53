"""Subaccounts as recorded at the provider: made, shown, changed, listed, deleted."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from tests.asking import allows, basic

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

_numbers = itertools.count(1)
PASSWORD = "mysecr3tPassword of otters"
ACCESS = ("server_access", "storage_access", "network_access", "tag_access")


def recorded(username: str) -> dict[str, object]:
    """Return the body that the Go SDK sent, its names changed."""
    return {
        "username": username,
        "password": PASSWORD,
        "first_name": "Test",
        "last_name": "User",
        "company": "UpCloud Ltd",
        "address": "my address",
        "postal_code": "00130",
        "city": "Helsinki",
        "email": "test@myhost.mydomain",
        "phone": "+358.31245434",
        "state": "",
        "country": "FIN",
        "currency": "EUR",
        "language": "en",
        "vat_number": "FI24315605",
        "timezone": "UTC",
        "allow_api": "yes",
        "allow_gui": "no",
        "tag_access": {"tag": [{"name": "a_tag", "storage": "yes"}]},
        "roles": {"role": ["billing", "aux_billing", "technical"]},
        "server_access": {"server": [{"uuid": "*", "storage": "yes"}]},
        "storage_access": {"storage": ["*"]},
        "network_access": {"network": ["*"]},
        "ip_filters": {"ip_filter": ["127.0.0.1"]},
    }


@pytest.fixture
def name():
    return f"sdk_test_{next(_numbers)}"


@pytest.fixture
def sub(main, name):
    main.json("POST", "/account/sub", {"sub_account": recorded(name)}, status=204)
    return replace(main, headers=basic(name, PASSWORD), owner=None)


def test_a_subaccount_made_with_a_password_logs_in_at_once_and_is_shown_as_it_was_told(
    main, name, sub
):
    assert sub.json("GET", "/account")["account"]["username"] == name
    told = recorded(name)
    del told["password"]
    shown = main.json("GET", f"/account/details/{name}")["account"]
    expected = told | {
        "campaigns": {"campaign": []},
        "enable_3rd_party_services": "no",
        "main_account": main.json("GET", "/account")["account"]["username"],
        "type": "sub",
    }
    assert shown == expected
    assert list(shown) == sorted(shown)
    assert sub.json("GET", f"/account/details/{name}")["account"] == shown
