"""WWW-Authenticate, by the grammar of RFC 9110 §11.6.1."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latchgate.client.challenge import Challenge, challenges


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Bearer", [Challenge("bearer")]),
        (
            'Bearer realm="a, b", error="invalid_token", error_description="it \\"ended\\""',
            [
                Challenge(
                    "bearer",
                    {"realm": "a, b", "error": "invalid_token", "error_description": 'it "ended"'},
                )
            ],
        ),
        (
            'Basic realm="x", charset="UTF-8", Bearer scope=a , error = b',
            [
                Challenge("basic", {"realm": "x", "charset": "UTF-8"}),
                Challenge("bearer", {"scope": "a", "error": "b"}),
            ],
        ),
        # RFC 9110's own example
        (
            'Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\""',
            [
                Challenge("basic", {"realm": "simple"}),
                Challenge("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'}),
            ],
        ),
        (
            "Negotiate YII=, Basic realm=x",
            [Challenge("negotiate"), Challenge("basic", {"realm": "x"})],
        ),
        (
            'Keystone uri="http://host/identity/v3"',
            [Challenge("keystone", {"uri": "http://host/identity/v3"})],
        ),
        (", ,Bearer,,", [Challenge("bearer")]),
        ('Bearer error="one", error="two"', [Challenge("bearer", {"error": "one"})]),
        ('Bearer error="no end', [Challenge("bearer")]),
        ("realm=x", []),
        ("", []),
    ],
)
def test_challenges_are_read(header, expected):
    assert list(challenges(header)) == expected


@settings(deadline=None)
@given(st.text(alphabet='Bb ,="\\\t/a;é\0', max_size=80))
def test_whatever_is_sent_is_challenges_with_names_in_lower_case_or_none(header):
    for one in challenges(header):
        assert one.scheme
        assert one.scheme == one.scheme.lower()
        assert all(name and name == name.lower() for name in one.parameters)


@pytest.mark.parametrize("part", [" ", ",", "a=", 'a="', "a ", '"\\', "a=b,", "Bearer "])
def test_of_long_ones_no_more_is_read_than_a_header_takes(part):
    assert len(challenges(part * 5000)) <= 4096 / len(part)
