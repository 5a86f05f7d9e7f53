"""A source's values make a whole credential, or what is missing is said by name."""

from __future__ import annotations

import pytest
from tests.client.sources.written import lacking, revealed

from latchgate.client import CredentialInvalid
from latchgate.client.clouds.kakaocloud import WANTED as KAKAOCLOUD
from latchgate.client.clouds.upcloud import WANTED as UPCLOUD
from latchgate.client.clouds.wayscloud import WANTED as WAYSCLOUD
from latchgate.client.sources import Inline


def test_the_first_whole_set_counts_with_its_address_and_nothing_of_another_set():
    values = {"access_key_id": "i", "access_key_name": "n", "secret": "s", "url": "u"}
    assert revealed(KAKAOCLOUD.found(values, "here")) == {
        "access_key_id": "i",
        "secret": "s",
        "url": "u",
    }


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({}, "token or username+password not set"),
        ({"token": ""}, "token or username+password not set"),
        ({"username": "alice"}, "username without password"),
        ({"password": "x"}, "password without username"),
        (
            {"url": "https://x"},
            "url alone, which counts only beside token or username+password of the same source",
        ),
    ],
)
def test_half_a_credential_is_none_and_says_which_half_is_there(values, why):
    assert lacking(UPCLOUD.found(values, "here")).why == why


def test_the_half_that_is_named_is_of_the_set_that_is_most_complete():
    told = lacking(KAKAOCLOUD.found({"user_id": "u", "secret": "s"}, "here"))
    assert told.why == "secret, user_id without access_key_name"


@pytest.mark.parametrize("others", [{}, {"username": "alice"}])
def test_upclouds_token_and_password_together_are_refused(others):
    values = {"token": "ucat_secret", "password": "pa55word", **others}
    with pytest.raises(CredentialInvalid, match="has both token and password; leave one") as told:
        UPCLOUD.found(values, "here")
    assert "ucat_secret" not in str(told.value)
    assert "pa55word" not in str(told.value)


@pytest.mark.parametrize(
    ("wanted", "known", "field"),
    [
        (WAYSCLOUD, (), "key"),
        (UPCLOUD, (), "token"),
        (UPCLOUD, ("username",), "password"),
        (UPCLOUD, ("url",), "token"),
        (KAKAOCLOUD, (), None),
        (KAKAOCLOUD, ("access_key_id",), "secret"),
        (KAKAOCLOUD, ("access_key_name",), None),
        (KAKAOCLOUD, ("access_key_name", "user_id"), "secret"),
    ],
)
def test_one_secret_fills_the_field_that_is_missing_beside_those_that_are_known(
    wanted, known, field
):
    assert wanted.secret_of(known) == field


def test_fields_that_a_caller_has_are_a_source_and_their_names_are_all_that_it_shows():
    inline = Inline({"username": "alice", "password": "pa55word"}, where="profile shop")
    assert revealed(inline.look(UPCLOUD)) == {"username": "alice", "password": "pa55word"}
    assert repr(inline) == "Inline(username, password)"
    assert str(lacking(inline.look(WAYSCLOUD))) == "profile shop: key or token not set"
