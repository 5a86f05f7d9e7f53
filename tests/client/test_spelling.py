"""What a credential says of its own end."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latchgate.client.secret import Secret
from latchgate.client.spelling import own_end


def jwt(claims):
    """Return what is made as a JWT is; nobody checks its signature."""
    coded = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{coded}.c2ln"


def test_a_jwt_says_when_it_ends():
    assert own_end(Secret(jwt({"exp": 1_700_000_000}))) == 1_700_000_000


@pytest.mark.parametrize(
    "text",
    [
        "ucat_01DQE3AJDEBFEKECFM558TGH2F",
        "a.b.c",
        "a.b",
        jwt([1]),
        jwt({}),
        jwt({"exp": "soon"}),
        jwt({"exp": True}),
        jwt({"exp": -1}),
        jwt({"exp": 1e300}),
        jwt({"exp": float("nan")}),
        f"a.{'W' * 70_000}.c",
        f"a.{base64.urlsafe_b64encode(b'[' * 20_000).decode()}.c",
    ],
)
def test_what_names_no_end_has_none(text):
    assert own_end(Secret(text)) is None


@settings(deadline=None)
@given(st.text(max_size=40))
def test_whatever_a_middle_part_holds_it_names_a_moment_or_none(text):
    end = own_end(Secret(f"a.{text}.b"))
    assert end is None or end > 0
