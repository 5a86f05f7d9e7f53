"""What a workload may be told of: whose statements, about what, and what they open.

Rule of this file: everything is checked at once, so that an administrator hears of every fault; an
issuer is asked only when nothing else is wrong.
"""

from __future__ import annotations

from typing import Any, Protocol

from latchgate.core.claim_rules import rules_fault
from latchgate.core.duration import parse_duration
from latchgate.core.scope import EVERY
from latchgate.manage.client_terms import PROTOCOL_SCOPES
from latchgate.manage.errors import InvalidError
from latchgate.signin.jwks import FetchError

LONGEST = 3_600  # seconds that a token lasts


class Issuers(Protocol):
    """What is asked about issuers: `signin.issuers.Issuers`."""

    def address_fault(self, url: str) -> str | None:
        """Say why a URL can't be one that is fetched from."""
        ...

    def discover(self, issuer: str) -> str:
        """Return where an issuer's keys are; FetchError."""
        ...


def checked(issuers: Issuers, issuer: str, told: dict[str, Any]) -> dict[str, Any]:
    """Check what is asked for and return it as columns; InvalidError names each field."""
    faults: list[tuple[str, str]] = []
    fault = issuers.address_fault(issuer)
    if fault is None and "?" in issuer:
        fault = "takes no query"
    if fault is not None:
        faults.append(("issuer", fault))
    jwks_uri = told["jwks_uri"]
    fault = issuers.address_fault(jwks_uri) if jwks_uri is not None else None
    if fault is not None:
        faults.append(("jwks_uri", fault))
    fault = rules_fault(issuer, told["claims"])
    if fault is not None:
        faults.append(("claims", fault))
    if told["audience"] is None:
        faults.append(("audience", "say whom statements are meant for: this server has no issuer"))
    faults += _scope_faults(told["scopes"])
    lifetime = 0.0
    try:
        lifetime = _seconds(told["lifetime"])
    except ValueError as error:
        faults.append(("lifetime", str(error)))
    if not faults and jwks_uri is None:
        try:
            jwks_uri = issuers.discover(issuer)
        except FetchError as error:
            faults.append(("issuer", f"{error}; say jwks_uri if it publishes no configuration"))
    if faults:
        raise InvalidError(faults)
    return {
        "name": told["name"],
        "jwks_uri": jwks_uri,
        "audience": told["audience"],
        "claims": told["claims"],
        "scopes": sorted(set(told["scopes"])),
        "lifetime": lifetime,
    }


def _seconds(told: str | float) -> float:
    """Return how long tokens last; ValueError for more than an hour."""
    lifetime = float(parse_duration(told) if isinstance(told, str) else told)
    if lifetime > LONGEST:
        msg = "a token lasts an hour at most: write for example 10m or 1h"
        raise ValueError(msg)
    return lifetime


def _scope_faults(scopes: list[str]) -> list[tuple[str, str]]:
    persons = sorted(PROTOCOL_SCOPES & set(scopes))
    if persons:
        return [("scopes", f"{', '.join(persons)} is for people who sign in")]
    if EVERY in scopes:
        return [("scopes", "a token names its scopes one by one: * can't be among them")]
    return []
