"""What goes into issuing a credential and what comes out."""

from __future__ import annotations

from dataclasses import dataclass

from latchgate.core.secret import Secret


@dataclass(frozen=True, slots=True)
class Spec:
    """The part of a new credential that its spelling depends on: the first service chosen."""

    service: str


@dataclass(frozen=True, slots=True)
class Issued:
    """A new credential: its public id, its text (shown once), its digest, and a safe hint."""

    id: str
    secret: Secret
    digest: bytes
    hint: str
