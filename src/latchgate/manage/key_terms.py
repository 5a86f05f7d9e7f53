"""What a new key opens, from where and until when: what was asked, under the published policy.

Rule of this file: everything that is wrong is told at once, field by field, and nothing is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from latchgate.core.duration import parse_duration
from latchgate.core.kinds import IssuedKind
from latchgate.core.kinds.service_key import ServiceKey
from latchgate.core.network import Networks
from latchgate.core.policy import Policy, Service
from latchgate.core.scope import EVERY, Scopes
from latchgate.core.timestamp import parse_rfc3339
from latchgate.manage.errors import InvalidError
from latchgate.manage.lifetimes import bounded
from latchgate.store.journal import Change

if TYPE_CHECKING:
    from latchgate.manage.keys import KeySpec


@dataclass(frozen=True, slots=True)
class Terms:
    """What will be stored of a new key beside its names; `expires_at` in Unix seconds."""

    kind: IssuedKind
    services: tuple[str, ...]
    scopes: Scopes
    networks: Networks | None
    expires_at: float | None


def settle(policy: Policy, spec: KeySpec, now: float) -> Terms:
    """Turn what was asked into what will be stored; InvalidError says all that is wrong with it."""
    faults: list[tuple[str, str]] = []
    across = _across(policy, spec)
    if across is not None:
        kind: IssuedKind | None = across
        services, scopes = _across_services(policy, across, spec, faults)
    else:
        kind, services = _kind(policy, spec, faults), tuple(spec.services)
        scopes = _scopes(policy, spec, faults)
    networks = None
    if spec.allowed_ip_ranges is not None:
        try:
            networks = Networks.of(spec.allowed_ip_ranges)
        except ValueError as error:
            faults.append(("allowed_ip_ranges", str(error)))
    expires_at = read_expiry(spec.expires_in, spec.expires_at, now, faults)
    if faults or kind is None:
        raise InvalidError(faults)
    return Terms(kind, services, scopes, networks, expires_at)


def _across(policy: Policy, spec: KeySpec) -> ServiceKey | None:
    """Return the kind whose word for a key across services is asked for."""
    for kind in policy.kinds.values():
        if isinstance(kind, ServiceKey) and kind.cross_service in spec.services:
            return kind
    return None


def handed_out(policy: Policy, rights: Scopes) -> list[tuple[Service, tuple[str, ...]]]:
    """Return the services that keys can be made for, each with the scopes that rights hold of it.

    In the order of the policy; one of which nothing is held is left out.
    """
    found = []
    for service in policy.services.values():
        held = tuple(scope for scope in service.scopes if scope in rights)
        if held and isinstance(policy.kinds.get(f"{service.provider}.service_key"), ServiceKey):
            found.append((service, held))
    return found


def openable(policy: Policy, kind: IssuedKind) -> frozenset[str]:
    """Return every scope that some area which accepts a kind asks for."""
    areas = (area for area in policy.areas if kind.name in {one.name for one in area.kinds})
    rules = (rule for area in areas for rule in area.rules.values())
    return frozenset(rule.scope for rule in rules if rule.scope is not None)


def _across_services(
    policy: Policy, kind: ServiceKey, spec: KeySpec, faults: list[tuple[str, str]]
) -> tuple[tuple[str, ...], Scopes]:
    """Read the scopes of a key across services; its services are those of its scopes."""
    word = kind.cross_service
    if spec.services != [word]:
        faults.append(("services", f"{word!r} stands for every service, and so alone"))
    if spec.scopes is None:
        faults.append(("scopes", f"a {word} key has the scopes that are named, so name them"))
        return (), Scopes.of(())
    offered = openable(policy, kind)
    foreign = sorted(set(spec.scopes) - offered)
    if foreign:
        offers = ", ".join(sorted(offered))
        faults.append(("scopes", f"{', '.join(foreign)} not among what it can open: {offers}"))
    services = dict.fromkeys(scope.partition(":")[0] for scope in spec.scopes)
    return tuple(services), Scopes.of(scope for scope in spec.scopes if scope != EVERY)


def _kind(policy: Policy, spec: KeySpec, faults: list[tuple[str, str]]) -> IssuedKind | None:
    unknown = [name for name in spec.services if name not in policy.services]
    if unknown:
        known = ", ".join(sorted(policy.services)) or "none: publish a policy first"
        faults.append(("services", f"unknown: {', '.join(unknown)}; the services are {known}"))
        return None
    if len(set(spec.services)) < len(spec.services):
        faults.append(("services", "a service is named twice"))
    providers = {policy.services[name].provider for name in spec.services}
    if len(providers) > 1:
        faults.append(("services", f"one key can't be for {' and '.join(sorted(providers))}"))
        return None
    (provider,) = providers
    try:
        return policy.issued(f"{provider}.service_key")
    except KeyError:
        faults.append(("services", f"{provider} issues no service keys"))
    return None


def _scopes(policy: Policy, spec: KeySpec, faults: list[tuple[str, str]]) -> Scopes:
    offered = frozenset[str]().union(*(policy.scopes_of(name) for name in spec.services))
    if spec.scopes is None:
        return Scopes.of(offered)
    foreign = sorted(set(spec.scopes) - offered)
    if foreign:
        offers = ", ".join(sorted(offered)) or "none"
        faults.append(("scopes", f"{', '.join(foreign)} not among those of its services: {offers}"))
    return Scopes.of(scope for scope in spec.scopes if scope != EVERY)


def read_expiry(
    expires_in: str | None, expires_at: str | None, now: float, faults: list[tuple[str, str]]
) -> float | None:
    """Read when something new shall end, None for never; what is wrong is added to `faults`."""
    if expires_in is not None and expires_at is not None:
        faults.append(("expires_at", "give expires_in or expires_at, not both"))
        return None
    try:
        if expires_in is not None:
            return now + parse_duration(expires_in)
        if expires_at is not None:
            at = parse_rfc3339(expires_at)
            if at <= now:
                faults.append(("expires_at", "must be in the future"))
            return at
    except ValueError as error:
        field = "expires_in" if expires_in is not None else "expires_at"
        faults.append((field, str(error)))
    return None


class Lasting(Protocol):
    """What was asked of something new that may end."""

    @property
    def expires_in(self) -> str | None:
        """How long it shall last, where that was told."""
        ...


def within_life(
    change: Change, tenant_id: str, kind: str, asked: Lasting, expires_at: float | None
) -> float | None:
    """Return when something new of a kind ends, None for never: as asked, or as its tenant lets it.

    InvalidError names the field by which it was asked to live longer than that.
    """
    return bounded(
        change.connection,
        tenant_id,
        kind,
        created_at=change.at,
        expires_at=expires_at,
        field="expires_in" if asked.expires_in is not None else "expires_at",
    )
