"""What an OAuth2 client may do: its grant types, scopes and redirect URIs, and which go together.

Rule of this file: everything that is wrong is told at once, field by field, and nothing is mended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from latchgate.core import redirect_uri
from latchgate.core.policy import Policy
from latchgate.manage.errors import InvalidError

if TYPE_CHECKING:
    from latchgate.manage.oauth_clients import ClientSpec

GrantType = Literal[
    "authorization_code",
    "client_credentials",
    "refresh_token",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:grant-type:token-exchange",
    "urn:latchgate:introspection",
]
DEVICE: Final = "urn:ietf:params:oauth:grant-type:device_code"  # RFC 8628 §3.4
# No grant: it lets an API's own client look at every token of its tenant (RFC 7662).
INTROSPECTION: Final = "urn:latchgate:introspection"
# Of OpenID Connect, which no service declares (OpenID Connect Core §5.4 and §11).
PROTOCOL_SCOPES = frozenset({"openid", "profile", "email", "offline_access"})


@dataclass(frozen=True, slots=True)
class Terms:
    """What is said of a client, new or changed."""

    public: bool
    tenant_id: str | None
    grant_types: list[str]
    scopes: list[str]
    redirect_uris: list[str]
    logout_uris: list[str]

    @classmethod
    def of(cls, spec: ClientSpec) -> Terms:
        """Return the terms of a new client."""
        return cls(
            public=spec.public,
            tenant_id=spec.tenant_id,
            grant_types=list(spec.grant_types),
            scopes=list(spec.scopes),
            redirect_uris=list(spec.redirect_uris),
            logout_uris=list(spec.post_logout_redirect_uris),
        )

    @classmethod
    def of_row(cls, row: Mapping[str, Any], told: Mapping[str, Any]) -> Terms:
        """Return the terms of a stored client once what is `told` was changed."""
        return cls(
            public=row["public"],
            tenant_id=row["tenant_id"],
            grant_types=told.get("grant_types", row["grant_types"]),
            scopes=told.get("scopes", row["scopes"]),
            redirect_uris=told.get("redirect_uris", row["redirect_uris"]),
            logout_uris=told.get("post_logout_redirect_uris", row["logout_uris"]),
        )

    def columns(self) -> dict[str, list[str]]:
        """Return what is stored of them."""
        return {
            "grant_types": self.grant_types,
            "scopes": self.scopes,
            "redirect_uris": self.redirect_uris,
            "logout_uris": self.logout_uris,
        }


def check(policy: Policy, terms: Terms, *known: tuple[str, str]) -> None:
    """Raise InvalidError naming each field that can't be taken, after those `known` already."""
    faults = [*known, *_scope_faults(policy, terms), *_grant_faults(terms)]
    uris = {
        "redirect_uris": terms.redirect_uris,
        "post_logout_redirect_uris": terms.logout_uris,
    }
    for field, listed in uris.items():
        for at, uri in enumerate(listed):
            wrong = redirect_uri.fault(uri, public=terms.public)
            if wrong is not None:
                faults.append((f"{field}[{at}]", wrong))
    named = {**uris, "scopes": terms.scopes, "grant_types": terms.grant_types}
    for field, listed in named.items():
        if len(set(listed)) < len(listed):
            faults.append((field, "names something twice"))
    if faults:
        raise InvalidError(faults)


def _scope_faults(policy: Policy, terms: Terms) -> list[tuple[str, str]]:
    known = PROTOCOL_SCOPES.union(*(policy.scopes_of(name) for name in policy.services))
    unknown = sorted(set(terms.scopes) - known)
    if not unknown:
        return []
    told = ", ".join(unknown)[:200]
    why = f"{told}: no scope of the published policy, and none of {', '.join(_PROTOCOL)}"
    return [("scopes", why)]


_PROTOCOL = sorted(PROTOCOL_SCOPES)


def _grant_faults(terms: Terms) -> list[tuple[str, str]]:
    faults: list[tuple[str, str]] = []
    given = set(terms.grant_types)
    for proven in sorted({"client_credentials", INTROSPECTION} & given if terms.public else ()):
        why = f"{proven} takes a secret, which a public client has not"
        faults.append(("grant_types", why))
    if "client_credentials" in given and not terms.public and terms.tenant_id is None:
        why = "must name the tenant in which it may act: it asks for client_credentials"
        faults.append(("tenant_id", why))
    if "refresh_token" in given and not given & {"authorization_code", DEVICE}:
        why = "refresh_token goes with authorization_code or the device grant, where somebody"
        faults.append(("grant_types", f"{why} signs in"))
    signs_in = "authorization_code" in given
    if signs_in and not terms.redirect_uris:
        why = "must name where answers go to: it asks for authorization_code"
        faults.append(("redirect_uris", why))
    if terms.redirect_uris and not signs_in:
        faults.append(("redirect_uris", "nothing is answered there without authorization_code"))
    return faults
