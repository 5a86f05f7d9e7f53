"""Secrets of OAuth2 clients: what a program that can keep one proves itself with.

A key of the client's application, so that it is rotated and revoked as every other; it is sent to
the token endpoint alone, never with a request of its own. Every character is unreserved (RFC 3986
§2.3), so that the form encoding of RFC 6749 §2.3.1, which clients get wrong, changes none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from latchgate.core.kinds.spec import Issued, Leaked, LeakShape, Spec
from latchgate.core.model import Presented, Refused, Request
from latchgate.core.secret import (
    BASE62,
    CHECKSUM_LENGTH,
    CROCKFORD_LOWER,
    Secret,
    checksum,
    digest,
    draw,
    has_checksum,
)

PREFIX = "lgcs"
_RANDOM_LENGTH = 43  # 256 bits
_ENTROPY = 41
_ID_LENGTH = 16
_ID_ENTROPY = 19
_MADE = re.compile(f"{PREFIX}_[0-9A-Za-z]{{{_RANDOM_LENGTH}}}[0-9a-f]{{{CHECKSUM_LENGTH}}}")


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a policy file says of this kind: `[kinds.client_secret]`, which is empty."""


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A client's secret: `lgcs_`, 43 characters of base62 and a checksum."""

    name: str

    @classmethod
    def configured(cls, name: str, settings: Mapping[str, object]) -> ClientSecret:
        """Build the kind from its table in a policy file; msgspec.ValidationError when wrong."""
        msgspec.convert(settings, Settings)
        return cls(name)

    @property
    def scheme(self) -> str:
        """Return nothing: it is never challenged for on an area."""
        return ""

    @property
    def carriers(self) -> tuple[str, ...]:
        """Return no header: only the token endpoint reads one."""
        return ()

    @property
    def pattern(self) -> str:
        """Return the regular expression of a leaked secret, its public part as group 1."""
        return rf"({PREFIX}_)[0-9A-Za-z]{{8,}}"

    @property
    def leak(self) -> LeakShape:
        """Return how a leaked secret is known."""
        return LeakShape(
            f"{PREFIX}_",
            "",
            len(PREFIX) + 1 + _RANDOM_LENGTH + CHECKSUM_LENGTH,
            _MADE.pattern,
            self.recognise,
        )

    def recognise(self, text: str) -> Leaked | None:
        """Read a leaked secret; None where its checksum is not right."""
        if not made_by_system(text):
            return None
        return Leaked(len(text), None, secret_digest(text), f"{PREFIX}_", certain=True)

    @property
    def entropy_bytes(self) -> int:
        """Return how many random bytes `issue` takes: those of the id, then of the secret."""
        return _ID_ENTROPY + _ENTROPY

    def parse(self, request: Request) -> tuple[Presented, ...] | Refused | None:
        """Return None: no header of an area carries one."""
        del request
        return None

    def issue(self, spec: Spec, entropy: bytes) -> Issued:
        """Make an id and a secret from `entropy_bytes` fresh random bytes; ValueError if not."""
        del spec
        if len(entropy) != self.entropy_bytes:
            msg = f"issue needs {self.entropy_bytes} bytes of entropy"
            raise ValueError(msg)
        body = f"{PREFIX}_{draw(entropy[_ID_ENTROPY:], BASE62, _RANDOM_LENGTH)}"
        text = body + checksum(body)
        named = draw(entropy[:_ID_ENTROPY], CROCKFORD_LOWER, _ID_LENGTH)
        return Issued(f"cs-{named}", Secret(text), secret_digest(text), hint="")


def made_by_system(text: str) -> bool:
    """Whether a text is spelled as only Latchgate spells a client's secret."""
    return _MADE.fullmatch(text) is not None and has_checksum(text)


def secret_digest(text: str) -> bytes:
    """Return what is stored of a client's secret."""
    return digest("client_secret", text)
