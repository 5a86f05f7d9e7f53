"""Answers of authorization servers: taken whole, or not at all."""

from __future__ import annotations

import pytest
from tests.client.steps import answer

from latchgate.client.authorization_answers import LASTS, DeviceCode, begun, error_code, issued

GIVEN = {"access_token": "t0ken", "token_type": "Bearer"}
WHERE = "https://login.example/device/"
BEGUN = {"device_code": "d", "user_code": "A-B", "verification_uri": WHERE, "expires_in": 30}
NONE = [b"", b"<html>", b"[]", b"[" * 100_000, b'"x"', b"5", b"\xff", b"null"]


@pytest.mark.parametrize(
    ("said", "lasts"),
    [({}, LASTS), ({"expires_in": "60"}, 60.0), ({"expires_in": 1.5, "token_type": "bearer"}, 1.5)],
)
def test_how_long_a_token_lasts_is_told_or_taken_to_be_five_minutes(said, lasts):
    made = issued(answer(GIVEN | said), "a")
    assert made is not None
    assert (made.value, made.lasts, made.facts, made.refresh) == (
        "t0ken",
        lasts,
        {"scope": "a"},
        None,
    )


@pytest.mark.parametrize(
    "said",
    [
        {"access_token": ""},
        {"access_token": "a b"},
        {"access_token": "a\r\nX: y"},
        {"access_token": None},
        {"token_type": "DPoP"},
        {"token_type": None},
        {"expires_in": 0},
        {"expires_in": -1},
        {"expires_in": True},
        {"expires_in": "soon"},
        {"expires_in": 1e999},
        {"refresh_token": 5},
        {"scope": ["a"]},
    ],
)
def test_what_is_no_bearer_token_is_none(said):
    assert issued(answer(GIVEN | said), "") is None


@pytest.mark.parametrize(
    "said",
    [
        {"user_code": "A\x1b[2J"},
        {"user_code": 5},
        {"verification_uri": "javascript:alert(1)"},
        {"verification_uri": "http://login.example/device"},
        {"verification_uri_complete": "https://login.example/\n"},
        {"device_code": "a b"},
        {"expires_in": 0},
        {"interval": "x"},
        {"interval": -5},
    ],
)
def test_what_a_terminal_or_a_browser_should_not_get_is_none(said):
    assert begun(answer(BEGUN | said)) is None


def test_a_device_code_without_a_link_has_the_address_and_five_seconds():
    made = begun(answer(BEGUN))
    assert made is not None
    assert (made.interval, made.shown) == (5.0, DeviceCode("A-B", WHERE, WHERE, 30.0))


@pytest.mark.parametrize("body", NONE)
def test_what_is_no_answer_is_none(body):
    assert (issued(answer(body), ""), begun(answer(body)), error_code(answer(body, 400))) == (
        (None,) * 3
    )


def test_an_error_is_one_by_its_status():
    assert error_code(answer({"error": "slow_down"}, 400)) == "slow_down"
    assert error_code(answer({"error": "slow_down"})) is None
    assert error_code(answer({"error": 5}, 400)) is None
    assert issued(answer(GIVEN, 400), "") is None
    assert begun(answer(BEGUN, 400)) is None
