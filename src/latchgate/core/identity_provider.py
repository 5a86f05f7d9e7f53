"""External OpenID providers that people sign in through, and what their claims mean here.

Rule of this file: a claim counts when it is exactly what was configured, by type too; an e-mail
address only when the provider says that it proved it, and when there is one way to read it (ATTACKS
D6.58).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# One @, no quoted part: an address that two programs read alike.
_EMAIL = re.compile(r"[!#-'*+\-/-9=?A-Z^-~.]{1,64}@([0-9A-Za-z.-]{1,189})")
_METHOD = re.compile(r"[!-~]{1,32}")
_MAX_METHODS = 10
MULTI_FACTOR = "mfa"  # RFC 8176


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim by its path, and the value that it has, or that is in its list."""

    path: tuple[str, ...]
    value: str | bool

    def holds(self, claims: Mapping[str, Any]) -> bool:
        """Whether somebody has it."""
        found: object = claims
        for name in self.path:
            if not isinstance(found, Mapping) or name not in found:
                return False
            found = found[name]
        values = found if isinstance(found, list) else [found]
        return any(type(one) is type(self.value) and one == self.value for one in values)


@dataclass(frozen=True, slots=True)
class RoleClaim:
    """A claim that gives a role in a project; both by id or name."""

    claim: Claim
    project: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityProvider:
    """One provider as configured; docs/reference/configuration.md says what each field means."""

    name: str
    title: str
    issuer: str
    client_id: str
    secret_file: Path | None
    scopes: tuple[str, ...]
    algorithms: tuple[str, ...]
    tenant: str | None
    create_users: bool
    require_verified_email: bool
    email_domains: frozenset[str]
    mfa_acr: frozenset[str]
    roles: tuple[RoleClaim, ...]
    required: Claim | None
    disable_without_required: bool

    @property
    def claims(self) -> frozenset[str]:
        """The names of claims that a sign-in can't be judged without."""
        paths = [one.claim.path for one in self.roles]
        paths += [self.required.path] if self.required is not None else []
        mail = bool(self.email_domains) or self.create_users
        return frozenset(path[0] for path in paths) | (
            {"email", "email_verified"} if mail else frozenset()
        )

    def methods(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        """Return how somebody signed in there (RFC 8176), `mfa` too where `acr` says so."""
        told = claims.get("amr", [])
        listed = told if isinstance(told, list) else []
        found = [one for one in listed if isinstance(one, str) and _METHOD.fullmatch(one)]
        if claims.get("acr") in self.mfa_acr:
            found.insert(0, MULTI_FACTOR)
        return tuple(dict.fromkeys(found))[:_MAX_METHODS]


def verified_email(claims: Mapping[str, Any]) -> str | None:
    """Return an e-mail address that the provider says it proved; None where there is none."""
    address = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(address, str):
        return None
    return address if _EMAIL.fullmatch(address) else None


def is_of(address: str, domains: frozenset[str]) -> bool:
    """Whether an e-mail address is of one of some domains, to the letter."""
    return address.rpartition("@")[2].lower() in domains
