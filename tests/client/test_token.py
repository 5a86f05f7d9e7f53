from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchgate.client.token import Token

NOW = 1_800_000_000.0
CHANCE = st.floats(0, 1, exclude_max=True)


def arrived(lasts: float = 1000.0, chance: float = 0.5, **more) -> Token:
    return Token.arrived("v", now=NOW, lasts=lasts, chance=chance, **more)


@given(lasts=st.floats(1, 86_400), chance=CHANCE)
def test_it_is_due_between_80_and_90_percent_of_its_life(lasts, chance):
    token = arrived(lasts, chance)
    assert not token.due(NOW + lasts * 0.799)
    assert token.due(NOW + lasts * 0.901)
    assert token.live(NOW + lasts * 0.999)
    assert not token.live(NOW + lasts)


@given(lasts=st.floats(), chance=CHANCE)
def test_whatever_a_server_says_of_its_life_it_lives_for_a_moment_and_not_for_ever(lasts, chance):
    token = arrived(lasts, chance)
    assert math.isfinite(token.ends_at)
    assert token.got_at <= token.renew_at <= token.ends_at <= NOW + 30 * 86_400


@pytest.mark.parametrize("lasts", [0, -1, -math.inf, math.nan])
def test_one_that_is_over_as_it_comes_is_used_for_a_minute(lasts):
    token = arrived(lasts)
    assert token.live(NOW + 59)
    assert not token.live(NOW + 61)


@pytest.mark.parametrize("lasts", [1e18, math.inf])
def test_one_without_an_end_is_fetched_anew_after_30_days(lasts):
    assert arrived(lasts).ends_at == NOW + 30 * 86_400


def test_a_clock_that_was_set_back_a_little_is_believed_one_set_back_by_hours_is_not():
    token = arrived()
    assert token.live(NOW - 59)
    assert not token.live(NOW - 61)
    assert token.due(NOW - 61)


def test_what_a_refusal_brought_is_settled_for_30_seconds_in_either_direction():
    token = Token(arrived().value, NOW, NOW + 800, NOW + 1000, after_refusal=True)
    assert token.settled(NOW + 29)
    assert token.settled(NOW - 29)
    assert not token.settled(NOW + 31)
    assert not token.settled(NOW - 31)
    assert not arrived().settled(NOW)


def test_an_empty_refresh_token_is_none():
    assert arrived(refresh="").refresh is None


def test_nothing_of_it_is_shown():
    assert "v-secret" not in repr(
        Token.arrived("v-secret", now=NOW, lasts=1, chance=0, refresh="v-secret-too")
    )
