"""The variables that each cloud's own tools read."""

from __future__ import annotations

import pytest
from tests.client.sources.written import lacking, revealed

from latchgate.client import CredentialInvalid
from latchgate.client.clouds.kakaocloud import WANTED as KAKAOCLOUD
from latchgate.client.clouds.upcloud import WANTED as UPCLOUD
from latchgate.client.clouds.wayscloud import WANTED as WAYSCLOUD
from latchgate.client.sources import Environment


def test_what_is_set_is_found_with_its_address_and_the_names_are_told():
    found = Environment({"WAYSCLOUD_TOKEN": "k", "WAYSCLOUD_API_URL": "https://x"}).look(WAYSCLOUD)
    assert revealed(found) == {"token": "k", "url": "https://x"}
    assert found.where == "environment WAYSCLOUD_TOKEN, WAYSCLOUD_API_URL"


def test_this_processs_variables_are_read_when_it_is_asked(monkeypatch):
    source = Environment()
    monkeypatch.setenv("UPCLOUD_TOKEN", "ucat_x")
    assert revealed(source.look(UPCLOUD)) == {"token": "ucat_x"}


def test_an_id_without_its_secret_is_told_by_the_variables_names():
    told = Environment({"OS_APPLICATION_CREDENTIAL_ID": "abc"}).look(KAKAOCLOUD)
    assert str(lacking(told)) == (
        "environment: OS_APPLICATION_CREDENTIAL_ID without OS_APPLICATION_CREDENTIAL_SECRET"
    )


def test_upclouds_token_and_password_together_are_refused_by_the_variables_names():
    variables = {"UPCLOUD_TOKEN": "t", "UPCLOUD_USERNAME": "u", "UPCLOUD_PASSWORD": "p"}
    with pytest.raises(CredentialInvalid, match="UPCLOUD_TOKEN and UPCLOUD_PASSWORD"):
        Environment(variables).look(UPCLOUD)


def test_a_user_name_beside_a_token_is_not_sent():
    variables = {"UPCLOUD_TOKEN": "t", "UPCLOUD_USERNAME": "u"}
    assert revealed(Environment(variables).look(UPCLOUD)) == {"token": "t"}


def test_its_repr_shows_nothing():
    assert repr(Environment({"UPCLOUD_TOKEN": "ucat_secret"})) == "Environment()"
