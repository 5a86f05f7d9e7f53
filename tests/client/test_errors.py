"""Errors: what they say, and that they survive being copied."""

from __future__ import annotations

import copy
import pickle

import pytest

from latchgate.client.errors import (
    CredentialMissing,
    KeyRevoked,
    PermissionDenied,
    RateLimited,
    Refused,
    WrongHost,
)

DENIED = PermissionDenied(
    "Not permitted",
    status=403,
    code="INSUFFICIENT_PERMISSIONS",
    cloud="WAYSCloud",
    decision="0123456789abcdef0123",
    scope="storage:write",
)
ERRORS = [
    DENIED,
    RateLimited("Slow down", status=429, retry_after=1.5),
    KeyRevoked("no", status=401, meaning="it was deleted", request_id="req-1"),
    CredentialMissing("none", tried=["argument: none given"]),
    WrongHost("there"),
]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            DENIED,
            (
                "WAYSCloud: Not permitted (403 INSUFFICIENT_PERMISSIONS; it takes the scope"
                " storage:write; decision 0123456789abcdef0123)"
            ),
        ),
        (ERRORS[1], "Slow down (429; again in 1.5 s)"),
        (ERRORS[2], "it was deleted: no (401; request req-1)"),
        (
            Refused("Invalid", status=400, faults=[("name", "is missing"), ("", "two")]),
            "Invalid; name: is missing; two (400)",
        ),
    ],
)
def test_an_error_says_all_that_is_known(error, text):
    assert str(error) == text


@pytest.mark.parametrize("error", ERRORS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize(
    "copied",
    [
        lambda error: error.again(),
        copy.copy,
        copy.deepcopy,
        lambda error: pickle.loads(pickle.dumps(error)),  # noqa: S301 - what was just made
    ],
)
def test_an_error_is_the_same_when_it_is_copied(error, copied):
    other = copied(error)
    assert other is not error
    assert type(other) is type(error)
    assert vars(other) == vars(error)
    assert str(other) == str(error)


def test_an_error_raised_anew_names_the_first_as_its_cause():
    assert DENIED.again().__cause__ is DENIED
