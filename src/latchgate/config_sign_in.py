"""`[[sign_in.providers]]` of `latchgate.toml`: checked, and read into what sign-ins go by.

Rule of this file: what could let in somebody whom nobody meant is refused before anything starts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from latchgate.config_entries import ClaimEntry, ProviderEntry, RoleClaimEntry, SignInEntry
from latchgate.core.assertion import ALGORITHMS
from latchgate.core.identity_provider import Claim, IdentityProvider, RoleClaim

# Over TLS, or on this machine; neither query nor fragment (OpenID Connect Discovery §3).
_ISSUER = re.compile(
    r"https://[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?(?:/[!-\"$->@-~]{0,1000})?"
    r"|http://(?:127\.0\.0\.1|\[::1\]|localhost)(?::[0-9]{1,5})?(?:/[!-\"$->@-~]{0,1000})?"
)
_SCOPE = re.compile(r"[!#-\[\]-~]{1,100}")  # RFC 6749 §3.3
_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+")
_MAX_DEPTH = 8
At = Callable[[str, object], Exception]


def read_providers(entry: SignInEntry, folder: Path, at: At) -> tuple[IdentityProvider, ...]:
    """Read every provider; raises what `at` makes of a key and what is wrong with it."""
    found: list[IdentityProvider] = []
    for index, told in enumerate(entry.providers):
        key = f"sign_in.providers[{index}]"
        _check(told, key, at)
        if told.name in {other.name for other in found}:
            raise at(f"{key}.name", f"two providers are named {told.name}")
        if told.issuer in {other.issuer for other in found}:
            # Whose answer is whose is told by the issuer.
            raise at(f"{key}.issuer", "another provider has this issuer")
        found.append(_made(told, folder, key, at))
    return tuple(found)


def _check(told: ProviderEntry, key: str, at: At) -> None:
    if not _ISSUER.fullmatch(told.issuer):
        problem = "must be an https:// URL (http:// only on this machine) without query or fragment"
        raise at(f"{key}.issuer", problem)
    if not told.title.isprintable() or not told.title.strip():
        raise at(f"{key}.title", "must be text for a button")
    if told.client_secret_file is not None and not Path(told.client_secret_file).name:
        raise at(f"{key}.client_secret_file", "must name a file")
    if "openid" not in told.scopes or not all(_SCOPE.fullmatch(one) for one in told.scopes):
        raise at(f"{key}.scopes", 'must be scopes, "openid" among them')
    unknown = sorted(set(told.algorithms) - ALGORITHMS)
    if unknown or not told.algorithms:
        known = ", ".join(sorted(ALGORITHMS))
        raise at(f"{key}.algorithms", f"must be some of {known}")
    wrong = [one for one in told.email_domains if not _DOMAIN.fullmatch(one)]
    if wrong:
        raise at(f"{key}.email_domains", f"{wrong[0]!r} is no domain in lower case")
    if told.tenant is None and (told.create_users or told.roles):
        raise at(f"{key}.tenant", "name the tenant that users are made in and hold roles in")


def _made(told: ProviderEntry, folder: Path, key: str, at: At) -> IdentityProvider:
    roles = (
        RoleClaim(_claim(one, f"{key}.roles[{index}]", at), one.project, one.role)
        for index, one in enumerate(told.roles)
    )
    needed = told.required
    return IdentityProvider(
        name=told.name,
        title=told.title,
        issuer=told.issuer,
        client_id=told.client_id,
        secret_file=folder / told.client_secret_file if told.client_secret_file else None,
        scopes=told.scopes,
        algorithms=told.algorithms,
        tenant=told.tenant,
        create_users=told.create_users,
        require_verified_email=told.require_verified_email,
        email_domains=frozenset(told.email_domains),
        mfa_acr=frozenset(told.mfa_acr),
        roles=tuple(roles),
        required=_claim(needed, f"{key}.required", at) if needed is not None else None,
        disable_without_required=needed is not None and needed.disable,
    )


def _claim(told: ClaimEntry | RoleClaimEntry, key: str, at: At) -> Claim:
    path = tuple(told.claim.split(".")) if isinstance(told.claim, str) else told.claim
    if not 0 < len(path) <= _MAX_DEPTH or not all(path):
        raise at(f"{key}.claim", 'must be a path such as "realm_access.roles"')
    return Claim(path, told.value)
