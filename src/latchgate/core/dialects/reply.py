"""The shapes that pass between a decision, a dialect and a door."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Public:
    """What a caller is told of a refusal: a status, a stable code, a sentence.

    `decision` is the refusal's id in hexadecimal, where there is one: some dialects tell it.
    """

    status: int
    code: str
    text: str
    decision: str = ""


@dataclass(frozen=True, slots=True)
class Challenge:
    """`WWW-Authenticate` (RFC 9110 §11.6.1): `error` is None when no credential was sent.

    `error` and `scope` belong to Bearer (RFC 6750 §3), `charset` to Basic (RFC 7617 §2.1), `uri`
    to Keystone: where its tokens are given out, None where nobody said.
    """

    scheme: str
    realm: str
    error: str | None
    scope: str | None
    uri: str | None = None

    def __str__(self) -> str:
        if self.uri is not None:
            return f'{self.scheme} uri="{self.uri}"'
        parts = [f'realm="{self.realm}"']
        if self.scheme == "Basic":
            return f'Basic {parts[0]}, charset="UTF-8"'
        if self.error is not None:
            parts.append(f'error="{self.error}"')
        if self.scope is not None:
            parts.append(f'scope="{self.scope}"')
        return f"{self.scheme} {', '.join(parts)}"


def challenge_headers(challenges: tuple[Challenge, ...]) -> tuple[tuple[str, str], ...]:
    """Return the one header that lists the challenges; none when there are none."""
    if not challenges:
        return ()
    return (("WWW-Authenticate", ", ".join(str(challenge) for challenge in challenges)),)


@dataclass(frozen=True, slots=True)
class Reply:
    """A worded answer: status, headers in order, body (one line, so it fits in a header)."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
