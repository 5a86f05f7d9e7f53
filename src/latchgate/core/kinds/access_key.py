"""Access keys: an id and a secret that a program exchanges for a project token.

Never sent with a request of its own, so it reads nothing: the door that exchanges it says what was
claimed. A secret that the system made carries its checksum, and is compared by SHA-256; whatever
is spelled otherwise may have been chosen by somebody and takes argon2id, whether the key exists or
not (ARCHITECTURE §5). Source: providers/kakaocloud, "Get access key".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from latchgate.core.kinds.spec import Issued, Leaked, LeakShape, Spec
from latchgate.core.model import Facts, Grant, Presented, Refused, Request, TraceStep
from latchgate.core.secret import (
    BASE62,
    CHECKSUM_LENGTH,
    Secret,
    checksum,
    digest,
    draw,
    has_checksum,
)
from latchgate.core.standing import verified

SECRET_LENGTH = 86  # as long as Keystone's own
_RANDOM_LENGTH = SECRET_LENGTH - CHECKSUM_LENGTH
_ID_BYTES = 16
_MADE = re.compile(f"[0-9A-Za-z]{{{_RANDOM_LENGTH}}}[0-9a-f]{{{CHECKSUM_LENGTH}}}")


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a policy file says of this kind: `[kinds.access_key]`, which is empty."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An id and a secret, exchanged for tokens."""

    name: str

    @classmethod
    def configured(cls, name: str, settings: Mapping[str, object]) -> AccessKey:
        """Build the kind from its table in a policy file; msgspec.ValidationError when wrong."""
        msgspec.convert(settings, Settings)
        return cls(name=name)

    @property
    def scheme(self) -> str:
        """Return nothing: it is never challenged for."""
        return ""

    @property
    def carriers(self) -> tuple[str, ...]:
        """Return no header: it is sent in a body."""
        return ()

    @property
    def pattern(self) -> str:
        """Return the regular expression of a leaked secret; no part of it is public."""
        return (
            rf"(?<![0-9A-Za-z_-])()[0-9A-Za-z]{{{_RANDOM_LENGTH}}}"
            rf"[0-9a-f]{{{CHECKSUM_LENGTH}}}(?![0-9A-Za-z_-])"
        )

    @property
    def leak(self) -> LeakShape:
        """Return how a leaked secret is known."""
        pattern = f"[0-9A-Za-z]{{{_RANDOM_LENGTH}}}[0-9a-f]{{{CHECKSUM_LENGTH}}}"

        def recognise(text: str) -> Leaked | None:
            if not made_by_system(text):
                return None
            return Leaked(len(text), None, digest("access_key", text), "", certain=True)

        return LeakShape("", BASE62, SECRET_LENGTH, pattern, recognise)

    @property
    def entropy_bytes(self) -> int:
        """Return how many random bytes `issue` takes: those of the id, then of the secret."""
        return _ID_BYTES + 67

    def parse(self, request: Request) -> tuple[Presented, ...] | Refused | None:
        """Return None: no header carries one."""
        del request
        return None

    def claim(self, secret: str, *, key_id: str = "", login: str | None = None) -> Presented:
        """Return what is claimed by an id, or by the login that its name stands for."""
        if made_by_system(secret):
            return Presented(self.name, key_id, digest("access_key", secret), login=login)
        typed = Secret(unicodedata.normalize("NFC", secret))
        return Presented(self.name, key_id, b"", login=login, password=typed)

    def issue(self, spec: Spec, entropy: bytes) -> Issued:
        """Make an id of 32 hex digits and a secret of 86; `entropy` is 83 fresh random bytes.

        ValueError when it is not.
        """
        del spec
        if len(entropy) != self.entropy_bytes:
            msg = f"issue needs {self.entropy_bytes} bytes of entropy"
            raise ValueError(msg)
        body = draw(entropy[_ID_BYTES:], BASE62, _RANDOM_LENGTH)
        text = body + checksum(body)
        return Issued(
            id=entropy[:_ID_BYTES].hex(),
            secret=Secret(text),
            digest=digest("access_key", text),
            hint="",
        )

    def verify(
        self,
        presented: Presented,
        facts: Facts,
        request: Request,
        now: float,
        trace: list[TraceStep],
    ) -> Grant | Refused:
        """Compare the digest first; only then look at the record's state."""
        return verified(presented, facts, request, now, trace)


def made_by_system(secret: str) -> bool:
    """Whether a secret is spelled as only Latchgate spells one: a chosen one may not be."""
    return _MADE.fullmatch(secret) is not None and has_checksum(secret)
