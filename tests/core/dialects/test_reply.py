from __future__ import annotations

import pytest

from latchgate.core.dialects.reply import Challenge


@pytest.mark.parametrize(
    ("error", "scope", "expected"),
    [
        (None, None, 'Bearer realm="R"'),
        ("invalid_token", None, 'Bearer realm="R", error="invalid_token"'),
        ("insufficient_scope", "s:r", 'Bearer realm="R", error="insufficient_scope", scope="s:r"'),
        (None, "s:r", 'Bearer realm="R", scope="s:r"'),
    ],
)
def test_a_challenge_is_written_as_rfc_6750_shows(error, scope, expected):
    assert str(Challenge(scheme="Bearer", realm="R", error=error, scope=scope)) == expected


def test_the_scheme_is_the_kinds_own():
    challenge = Challenge(scheme="Basic", realm="Files", error=None, scope=None)
    # RFC 7617 §2.1: names and passwords outside ASCII are UTF-8.
    assert str(challenge) == 'Basic realm="Files", charset="UTF-8"'
    told = Challenge(scheme="Basic", realm="Files", error="invalid_token", scope="s:r")
    assert str(told) == str(challenge)


def test_a_challenge_of_keystones_names_where_tokens_are_given_out():
    told = Challenge("Keystone", "R", "invalid_token", None, uri="https://a.example/identity/v3")
    assert str(told) == 'Keystone uri="https://a.example/identity/v3"'
    assert str(Challenge("Keystone", "R", None, None)) == 'Keystone realm="R"'
