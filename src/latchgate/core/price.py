"""What one request costs: exact, in millionths of a currency."""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from typing import NamedTuple

from latchgate.core.policy_entries import ServiceEntry

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


def read_prices(
    service: ServiceEntry,
    scopes: Container[str],
    currency: str | None,
    key: str,
    fault: Callable[[str, str], None],
) -> dict[str, Price]:
    """Return what the scopes of a service cost; `fault` is told what is wrong, by its `key`."""
    prices: dict[str, Price] = {}
    if service.prices and currency is None:
        fault(f"{key}.prices", 'name the currency of the file, for example currency = "EUR"')
        return prices
    for scope, told in service.prices.items():
        where = f'{key}.prices."{scope}"'
        if scope not in scopes:
            fault(where, f"{scope!r} is no scope of this service")
        elif not isinstance(told, str):
            fault(where, 'write it in quotes, such as "0.0004"; a number would be rounded')
        else:
            try:
                prices[scope] = Price(parse_millionths(told), currency or "")
            except ValueError as error:
                fault(where, str(error))
    return {scope: price for scope, price in prices.items() if price.millionths}


def amount_text(millionths: int) -> str:
    """Write an amount as a decimal with at least two places and none that says nothing."""
    whole, rest = divmod(millionths, MILLIONTHS)
    places = f"{rest:06}".rstrip("0").ljust(2, "0")
    return f"{whole}.{places}"
