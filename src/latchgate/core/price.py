"""What one request costs: exact, in millionths of a currency."""

from __future__ import annotations

import re
from typing import NamedTuple

MILLIONTHS = 1_000_000
_DIGITS = 6
_DECIMAL = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,6}))?")


class Price(NamedTuple):
    """The price of one request: millionths of `currency` (ISO 4217 letters)."""

    millionths: int
    currency: str


def parse_millionths(text: str) -> int:
    """Read a decimal such as `0.0004` as millionths; ValueError when it is no such number."""
    found = _DECIMAL.fullmatch(text)
    if found is None:
        msg = f"{text[:64]!r} is not a price; write a decimal of up to 6 places, such as 0.0004"
        raise ValueError(msg)
    return int(found[1]) * MILLIONTHS + int((found[2] or "").ljust(_DIGITS, "0"))


def amount_text(millionths: int) -> str:
    """Write an amount as a decimal with at least two places and none that says nothing."""
    whole, rest = divmod(millionths, MILLIONTHS)
    places = f"{rest:06}".rstrip("0").ljust(2, "0")
    return f"{whole}.{places}"
