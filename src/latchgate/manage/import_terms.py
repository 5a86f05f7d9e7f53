"""What an imported credential opens, from where and until when, under the published policy."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from latchgate.core.kinds import AnyKind
from latchgate.core.kinds.access_key import AccessKey
from latchgate.core.kinds.account_password import AccountPassword
from latchgate.core.kinds.api_token import ApiToken
from latchgate.core.network import Networks
from latchgate.core.policy import Policy
from latchgate.core.scope import ALL, EVERY, Scopes
from latchgate.core.timestamp import parse_rfc3339
from latchgate.manage.import_lines import ImportLine, LineError

_encode = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Terms:
    """What is stored of many lines alike; lists are JSON already, for it is written as often."""

    scopes: Scopes
    services: msgspec.Raw
    listed: msgspec.Raw
    networks: msgspec.Raw | None
    expires_at: float | None

    def created_at(self, line: ImportLine, now: float) -> float:
        """Return when the credential was made: what its line says, or now."""
        if line.created_at is None:
            return now
        at = _time("created_at", line.created_at)
        if at > now:
            raise LineError("created_at: is still to come")
        return at


def terms_of(policy: Policy, kind: AnyKind, line: ImportLine, now: float) -> Terms:
    """Turn what a line says into what is stored; LineError names the field."""
    whole = isinstance(kind, AccountPassword | AccessKey)
    if whole and (line.services is not None or line.scopes is not None):
        raise LineError("scopes: this kind opens what its owner may; leave scopes and services out")
    if whole:
        services, scopes = [EVERY], ALL
    elif isinstance(kind, ApiToken):
        services, scopes = [EVERY], _token_scopes(policy, line)
    else:
        services, scopes = _of_services(policy, kind, line)
    networks = None
    if line.networks is not None:
        try:
            networks = Networks.of(line.networks).listed()
        except ValueError as error:
            raise LineError(f"networks: {error}") from None
    expires_at = _time("expires_at", line.expires_at) if line.expires_at is not None else None
    if expires_at is not None and expires_at <= now:
        raise LineError("expires_at: is over already")
    return Terms(
        scopes=scopes,
        services=_raw(services),
        listed=_raw(scopes.listed()),
        networks=_raw(networks) if networks is not None else None,
        expires_at=expires_at,
    )


def _token_scopes(policy: Policy, line: ImportLine) -> Scopes:
    if line.services is not None:
        raise LineError("services: a token is for every service; name scopes")
    if line.scopes is None:
        return ALL
    known = {scope for name in policy.services for scope in policy.scopes_of(name)}
    _check(line.scopes, known)
    return Scopes.of(line.scopes)


def _of_services(policy: Policy, kind: AnyKind, line: ImportLine) -> tuple[list[str], Scopes]:
    services = line.services
    if services is None and line.scopes:
        services = tuple(dict.fromkeys(scope.partition(":")[0] for scope in line.scopes))
    if not services:
        raise LineError("services: name what it is for, or its scopes")
    provider = kind.name.partition(".")[0]
    own = sorted(name for name, one in policy.services.items() if one.provider == provider)
    foreign = sorted(set(services) - set(own))
    if foreign:
        raise LineError(f"services: {', '.join(foreign)} not among those of {provider}: {own}")
    offered = frozenset[str]().union(*(policy.scopes_of(name) for name in services))
    if line.scopes is None:
        return list(services), Scopes.of(offered)
    _check(line.scopes, offered)
    return list(services), Scopes.of(line.scopes)


def _check(scopes: tuple[str, ...], offered: frozenset[str] | set[str]) -> None:
    foreign = sorted(set(scopes) - offered)
    if foreign:
        raise LineError(f"scopes: {', '.join(foreign)} not among {', '.join(sorted(offered))}")


def _time(field: str, text: str) -> float:
    try:
        return parse_rfc3339(text)
    except ValueError as error:
        raise LineError(f"{field}: {error}") from None


def _raw(value: list[str]) -> msgspec.Raw:
    return msgspec.Raw(_encode(value))
