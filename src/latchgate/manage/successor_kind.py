"""Of which kind a successor is, and how its secret is spelled: as its predecessor's.

Rule of this file: a key that another system made is succeeded by one of ours, and only where the
areas that take the old one take the new one too. Whoever uses it would be locked out otherwise.
"""

from __future__ import annotations

import re
from typing import Any

from latchgate.core.kinds import IMPORTED, IssuedKind
from latchgate.core.kinds.service_key import ServiceKey
from latchgate.core.policy import Policy
from latchgate.core.scope import EVERY
from latchgate.store.errors import ConflictError

_SERVICE = re.compile(r"[a-z][a-z0-9-]*")


def successor_kind(policy: Policy, row: dict[str, Any], noun: str) -> IssuedKind:
    """Return the kind of a row's successor; ConflictError when the policy can issue none."""
    name: str = row["kind"]
    provider, _, sort = name.partition(".")
    if sort in IMPORTED:
        return _native(policy, row, f"{provider}.service_key")
    try:
        return policy.issued(name)
    except KeyError:
        msg = f"The published policy issues no {name}; make a new {noun} of another sort."
        raise ConflictError(msg) from None


def _native(policy: Policy, row: dict[str, Any], wanted: str) -> ServiceKey:
    """Return the kind that succeeds an imported key: its provider's own service key."""
    old, kind = row["kind"], policy.kinds.get(wanted)
    if not isinstance(kind, ServiceKey):
        msg = f"The published policy issues no {wanted}, which would take the place of {old}."
        raise ConflictError(f"{msg} Add [kinds.service_key] to its file.")
    services = row["services"]
    for area in policy.areas:
        names = {one.name for one in area.kinds}
        opened = EVERY in services or area.service in services
        if opened and old in names and kind.name not in names:
            msg = f"The area {area.name} takes {old} and not {kind.name}, its successor."
            raise ConflictError(f"{msg} Add service_key to what the area accepts.")
    return kind


def spelled(kind: IssuedKind, row: dict[str, Any]) -> str:
    """Return the service that the secret of a row's successor is spelled with.

    A service key's is that of the old one, where it tells it; and the word for several services
    where the old one is for several and did not.
    """
    services: list[str] = row["services"]
    if not isinstance(kind, ServiceKey):
        return services[0]
    if row["kind"] == kind.name:
        told: str = row["hint"].removeprefix(f"{kind.brand}_").removesuffix(f"_{row['id']}_…")
        if _SERVICE.fullmatch(told):
            return told
    if len(services) > 1 and kind.cross_service is not None:
        return kind.cross_service
    return services[0]
