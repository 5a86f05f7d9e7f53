"""Codes of an authenticator app (RFC 6238): SHA-1, six digits, thirty seconds, as apps expect.

Rule of this file: pure; whoever calls remembers the last step that was used, so that a code works
once (§5.2). A clock may be one step off in either direction.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

import pyotp
from pyotp.utils import strings_equal

from latchgate.core.secret import Secret

SECRET_BYTES = 20  # RFC 4226 §4 recommends 160 bits
STEP_SECONDS = 30
_DRIFT = 1
_CODE = re.compile(r"[0-9]{6}")


def draw(entropy: Callable[[int], bytes]) -> Secret:
    """Return a new secret, as base32."""
    return Secret(base64.b32encode(entropy(SECRET_BYTES)).decode())


def read_code(text: str) -> str | None:
    """Return the six digits of what was typed, blanks apart; None where it is no such code."""
    typed = "".join(text.split())
    return typed if typed.isascii() and _CODE.fullmatch(typed) else None


def step_of(secret: Secret, code: str, *, now: float, after: int) -> int | None:
    """Return the step that a code is of, later than the last used; None where it is of none."""
    made = pyotp.TOTP(secret.reveal())
    current = int(now // STEP_SECONDS)
    found = None
    for step in range(current - _DRIFT, current + _DRIFT + 1):
        # All are compared: which of them it was must not show in the time that it took.
        if strings_equal(code, made.generate_otp(step)) and step > after:
            found = step
    return found


def address(secret: Secret, *, login: str, issuer: str) -> Secret:
    """Return the `otpauth:` address that apps read from a QR code; it holds the secret."""
    return Secret(pyotp.TOTP(secret.reveal()).provisioning_uri(name=login, issuer_name=issuer))
