"""The receiver that the how-to shows takes what Latchgate signs, and nothing else."""

from __future__ import annotations

import base64
import time

import pytest
from examples.webhooks.receiver import MAX_AGE, check

from latchgate.jobs.sending import signed

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


@pytest.mark.parametrize(
    ("key", "late", "body", "taken"),
    [
        (b"k" * 32, 0, b"{}", True),
        (b"x" * 32, 0, b"{}", False),
        (b"k" * 32, MAX_AGE + 60, b"{}", False),
        (b"k" * 32, 0, b"{ }", False),
    ],
)
def test_what_latchgate_signs_is_taken(key, late, body, taken):
    headers = signed("evt-1", int(time.time()) - late, b"{}", [b"former", key])
    assert check(SECRET, headers, body) is taken
