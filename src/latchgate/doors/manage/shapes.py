"""What the management API takes and answers, as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

import msgspec

from latchgate.core.timestamp import rfc3339
from latchgate.manage.states import State
from latchgate.verify.receipt import Receipt


class Key(msgspec.Struct, frozen=True):
    """A key as it is shown; never its secret. Times are RFC 3339."""

    id: str
    kind: str
    hint: str
    state: State
    name: str
    description: str
    services: list[str]
    scopes: list[str]
    environment: str | None
    external_id: str | None
    metadata: dict[str, str]
    allowed_ip_ranges: list[str] | None
    owner_id: str
    project_id: str
    created_at: str
    created_by: str
    expires_at: str | None
    revoked_at: str | None
    disabled_at: str | None
    superseded_by: str | None
    superseded_at: str | None
    predecessor_id: str | None
    version: int
    last_used_at: str | None
    last_used_from: str | None
    last_used_agent: str | None


class NewKey(Key, frozen=True, kw_only=True):
    """A key just made, with its secret, which is shown this once."""

    key: str


class KeyPage(msgspec.Struct, frozen=True):
    """A page of keys, oldest first; `next` is the `after` of the following page."""

    keys: list[Key]
    next: str | None


class Verifier(msgspec.Struct, frozen=True):
    """One memory of a verifier, and whether it said that it dropped what was changed.

    A lapsed one did not: it was stopped, busy or cut off, and its trust in what it remembers ended
    meanwhile. `trust_seconds` is for how long it trusts that; null for one on the machine of the
    database, which looks before every decision. `stale` says that this is the bound of
    `stale_while_unreachable`.
    """

    id: str
    process: int
    state: Literal["acknowledged", "lapsed"]
    kind: str
    node: str | None
    trust_seconds: float | None
    stale: bool


class ReceiptShape(msgspec.Struct, frozen=True, omit_defaults=True):
    """From `at` on, no verifier accepts a request that starts later.

    Without `known` nobody could list the verifiers: so long was waited that none of them trusts
    what it remembers. Without `waited` (`Prefer: respond-async`) none of this holds yet: ask for
    the receipt of `journal`. `gateway_tail_seconds` is there where gateways may remember what was
    accepted: for how long of `elapsed_ms` they were waited for.
    """

    journal: int
    at: str
    elapsed_ms: float
    verifiers: list[Verifier]
    known: bool
    waited: bool
    gateway_tail_seconds: float | None = None


class Switched(msgspec.Struct, frozen=True):
    """A tenant, user or project that was switched off or on, and who follows."""

    id: str
    active: bool
    version: int
    receipt: ReceiptShape


class Revoked(msgspec.Struct, frozen=True):
    """A revoked key's receipt."""

    id: str
    revoked_at: str
    receipt: ReceiptShape


class PolicyFiles(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Policy files by name."""

    files: Annotated[
        dict[Annotated[str, msgspec.Meta(max_length=255)], str],
        msgspec.Meta(min_length=1, max_length=64),
    ]


class PolicyShape(msgspec.Struct, frozen=True):
    """The published policy."""

    version: int
    published_at: str | None
    files: dict[str, str]


class PolicyApplied(msgspec.Struct, frozen=True):
    """The new version, and who follows it."""

    version: int
    receipt: ReceiptShape


class ExplainedStep(msgspec.Struct, frozen=True):
    """One thing the decision looked at."""

    step: str
    ok: bool
    text: str


class Explanation(msgspec.Struct, frozen=True):
    """A decision, step by step, and the smallest change that would allow it."""

    id: str
    at: str
    method: str
    host: str
    path: str
    client: str | None
    allowed: bool
    reason: str
    status: int
    code: str | None
    area: str | None
    scope: str | None
    credential: str | None
    policy_version: int
    journal: int
    steps: list[ExplainedStep]
    change: str


class FieldFault(msgspec.Struct, frozen=True):
    """What is wrong with one field."""

    field: str
    detail: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldFault] = []


def receipt_shape(receipt: Receipt, now: float) -> ReceiptShape:
    """Show a receipt."""
    return ReceiptShape(
        journal=receipt.journal,
        at=rfc3339(now),
        elapsed_ms=round(receipt.elapsed * 1000, 3),
        verifiers=[verifier_shape(asdict(one)) for one in receipt.verifiers],
        known=receipt.known,
        waited=receipt.waited,
        gateway_tail_seconds=receipt.gateway_tail or None,
    )


def verifier_shape(told: dict[str, Any]) -> Verifier:
    """Show a verifier as a receipt names it (`verify.receipt.Named`)."""
    shown = {name: value for name, value in told.items() if name != "trust"}
    return msgspec.convert(shown | {"trust_seconds": told["trust"]}, Verifier)
