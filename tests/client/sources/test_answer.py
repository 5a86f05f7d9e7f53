"""What a command or an entry says is one secret, or a JSON object of fields."""

from __future__ import annotations

import json

import pytest
from tests.client.sources.written import lacking, revealed

from latchgate.client import CredentialInvalid, SourceUnreadable
from latchgate.client.clouds.kakaocloud import WANTED as KAKAOCLOUD
from latchgate.client.clouds.upcloud import WANTED as UPCLOUD
from latchgate.client.sources.answer import answered, written
from latchgate.client.sources.source import Found, Lacking, Wanted


def _answered(text: str, wanted: Wanted = UPCLOUD, **known: str) -> Found | Lacking:
    return answered(text, wanted, where="command pass", known=known)


@pytest.mark.parametrize("text", ["5ecret", "5ecret\n", "5ecret\r\n"])
def test_one_line_is_the_secret(text):
    assert revealed(_answered(text)) == {"token": "5ecret"}


def test_one_line_completes_the_fields_that_are_known():
    assert revealed(_answered("a b", username="alice")) == {"username": "alice", "password": "a b"}


def test_an_object_has_the_fields_over_several_lines_too():
    text = '\n{\n "access_key_id": "kid",\n "secret": "5ecret", "url": "https://x"}\n'
    assert revealed(_answered(text, KAKAOCLOUD)) == {
        "access_key_id": "kid",
        "secret": "5ecret",
        "url": "https://x",
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "says nothing"),
        ("\n", "says nothing"),
        ("5ecret\nuser: alice\n", "says several lines"),
        ("5ec\rret", "says several lines"),
        ('{"token": "5ecret"', "begins as a JSON object and is none"),
        ('{"token": 5}', "a JSON object of texts, of no other fields than cloud, password, token"),
        ('{"5ecret": "x"}', "a JSON object of texts, of no other fields than cloud"),
        ('{"a":' * 9999, "begins as a JSON object and is none"),
        ("5" * 70000, "says more than 64 KiB"),
    ],
)
def test_what_is_neither_is_refused_and_not_shown(text, why):
    with pytest.raises(SourceUnreadable) as told:
        _answered(text)
    assert str(told.value).startswith("command pass ")
    assert why in str(told.value)
    assert "5" not in str(told.value)
    assert told.value.__context__ is None


def test_one_secret_where_several_fields_are_wanted_is_refused():
    with pytest.raises(SourceUnreadable, match=r"access_key_id\+secret or .*JSON object"):
        _answered("5ecret", KAKAOCLOUD)


def test_half_an_object_and_two_credentials_in_one():
    assert lacking(_answered('{"username": "alice"}')).why == "username without password"
    with pytest.raises(CredentialInvalid, match="both token and password"):
        _answered('{"username": "alice", "password": "x", "token": "y"}')


def test_what_is_another_clouds_is_none():
    told = lacking(_answered(written({"token": "5ecret"}, "wayscloud")))
    assert (told.why, told.unreadable) == ("is another cloud's", True)
    assert revealed(_answered(written({"token": "5ecret"}, "upcloud"))) == {"token": "5ecret"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("5ecret", False),
        (json.dumps({"token": "5ecret"}), False),
        (json.dumps({"token": "5ecret", "cloud": "wayscloud"}), False),
        (json.dumps({"token": "5ecret", "cloud": "upcloud"}), True),
    ],
)
def test_whoever_was_not_told_the_cloud_has_to_say_it(text, found):
    told = answered(text, UPCLOUD, where="command x", known={}, whose=False)
    assert isinstance(told, Found) is found
    assert "5ecret" not in str(told)
