"""The shapes that pass between a decision, a dialect and a door."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Public:
    """What a caller is told of a refusal: a status, a stable code, a sentence."""

    status: int
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Challenge:
    """`WWW-Authenticate` (RFC 6750 §3): `error` is None when no credential was sent."""

    scheme: str
    realm: str
    error: str | None
    scope: str | None

    def __str__(self) -> str:
        parts = [f'realm="{self.realm}"']
        if self.error is not None:
            parts.append(f'error="{self.error}"')
        if self.scope is not None:
            parts.append(f'scope="{self.scope}"')
        return f"{self.scheme} {', '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Reply:
    """A worded answer: status, headers in order, body (one line, so it fits in a header)."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
