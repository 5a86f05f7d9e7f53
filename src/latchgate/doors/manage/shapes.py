"""What the management API takes and answers, as JSON."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from latchgate.core.timestamp import rfc3339
from latchgate.manage.states import State
from latchgate.verify.receipts import Receipt


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
    """One cache and whether it dropped the change in time.

    A lapsed one was stopped or busy; it looks before its next decision all the same.
    """

    id: str
    process: int
    state: Literal["acknowledged", "lapsed"]


class ReceiptShape(msgspec.Struct, frozen=True):
    """From `at` on, no verifier accepts a request that starts later."""

    journal: int
    at: str
    elapsed_ms: float
    verifiers: list[Verifier]


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
        verifiers=[
            *[
                Verifier(f"{one.incarnation:016x}", one.process_id, "acknowledged")
                for one in receipt.acknowledged
            ],
            *[
                Verifier(f"{one.incarnation:016x}", one.process_id, "lapsed")
                for one in receipt.lapsed
            ],
        ],
    )
