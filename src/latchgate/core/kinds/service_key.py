"""`{brand}_{service}_{id}_{secret}`: the service key that WAYSCloud documents.

The service in the text is only how the key is spelled; what it opens is in its record, which is
found by the id and believed only when the digest of the whole text matches. New keys end in
a checksum over everything before it; imported ones of any shape the provider ever issued
(`_` inside the secret included) still parse. Source: providers/wayscloud, "Bearer Token
Format" and "Extra spaces in header".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from latchgate.core.kinds.spec import Issued, Leaked, LeakShape, SentBearer, Spec
from latchgate.core.model import Facts, Grant, Presented, Refused, Request, TraceStep
from latchgate.core.reason import Reason
from latchgate.core.secret import (
    BASE62,
    CHECKSUM_LENGTH,
    CROCKFORD_LOWER,
    Secret,
    checksum,
    digest,
    draw,
    has_checksum,
    looks_drawn,
)
from latchgate.core.standing import verified

ID_LENGTH = 12
RANDOM_LENGTH = 26  # of base62: 154 bits
SECRET_LENGTH = RANDOM_LENGTH + CHECKSUM_LENGTH
ENTROPY_BYTES = 48
MAX_LENGTH = 512
_ID_ENTROPY = 17
LEAST_IMPORTED = 16  # shorter secrets of others are words, more often than not
FOREIGN_HASHES = {"sha256": 64, "sha512": 128}  # imported of older keys: hexadecimal digits
_TEXT = re.compile(r"[A-Za-z0-9_.~-]+")


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a policy file says of this kind: `[kinds.service_key]`.

    `brand` is the first part of every key; `key_header` a second header that may carry one;
    `cross_service` the word that stands for a service in a key with scopes of several services.
    """

    brand: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9]{1,31}\Z")]
    key_header: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}\Z")] | None = None
    cross_service: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,31}\Z")] | None = None


@dataclass(frozen=True, slots=True)
class ServiceKey(SentBearer):
    """A key bound to services, sent as Bearer or in the header `key_header` (lower case).

    `cross_service` is spelled where a key is across services; its record says which.
    """

    name: str
    brand: str
    key_header: str | None
    cross_service: str | None
    _prefix: str = field(init=False, repr=False, compare=False)
    _new: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _anywhere: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        shape = f"{self.brand}_[a-z][a-z0-9-]*_([{CROCKFORD_LOWER}]{{{ID_LENGTH}}})"
        # A key of ours that something stands before; not the end of another brand's name.
        object.__setattr__(self, "_anywhere", re.compile(f"(?<![A-Za-z0-9]){self.brand}_"))
        object.__setattr__(self, "_prefix", f"Bearer {self.brand}_")
        object.__setattr__(self, "_new", re.compile(f"{shape}_[0-9A-Za-z]{{{SECRET_LENGTH}}}"))

    @classmethod
    def configured(cls, name: str, settings: Mapping[str, object]) -> ServiceKey:
        """Build the kind from its table in a policy file; msgspec.ValidationError when wrong."""
        read = msgspec.convert(settings, Settings)
        header = read.key_header.lower() if read.key_header else None
        return cls(name=name, brand=read.brand, key_header=header, cross_service=read.cross_service)

    @property
    def carriers(self) -> tuple[str, ...]:
        """Return the headers, in lower case, that it is read from."""
        return ("authorization",) if self.key_header is None else ("authorization", self.key_header)

    @property
    def pattern(self) -> str:
        """Return the regular expression of a leaked key, its public part as group 1.

        No border is asked for on the left: in logs a key follows `=`, `%3D` or an escaped break.
        """
        part = "[A-Za-z0-9.~-]+"
        return rf"({re.escape(self.brand)}_{part}_{part}_)[A-Za-z0-9_.~-]+"

    @property
    def leak(self) -> LeakShape:
        """Return how a leaked key is known."""
        part = "[A-Za-z0-9.~-]{1,64}"
        pattern = rf"{re.escape(self.brand)}_{part}_{part}_[A-Za-z0-9_.~-]{{{LEAST_IMPORTED},256}}"
        least = len(self.brand) + 5 + LEAST_IMPORTED
        return LeakShape(f"{self.brand}_", "", least, pattern, self.recognise)

    def recognise(self, text: str) -> Leaked | None:
        """Read a leaked key: ours by its checksum, else any that may have been imported."""
        new = self._new.match(text)
        if new is not None and has_checksum(new[0]):
            told = digest("service_key", new[0])
            return Leaked(new.end(), new[1], told, new[0][: new.end(1) + 1], certain=True)
        whole = text.rstrip("_.~-")
        parts = whole.split("_", 3)
        if len(parts) != 4 or len(parts[3]) < LEAST_IMPORTED or not looks_drawn(parts[3]):  # noqa: PLR2004 - the format's four parts
            return None
        shown = "_".join(parts[:3]) + "_"
        told = digest("service_key", whole)
        others = _foreign_digests(whole)
        return Leaked(len(whole), parts[2], told, shown, certain=False, others=others)

    @property
    def entropy_bytes(self) -> int:
        """Return how many random bytes `issue` takes."""
        return ENTROPY_BYTES

    def parse(self, request: Request) -> tuple[Presented, ...] | Refused | None:
        """Read the key from `Authorization: Bearer` and from the key header.

        The provider's own rules are stricter than RFC 6750: `bearer`, more than one space or
        a bare key are mistakes. Both headers with the same key count once.
        """
        if self.key_header not in request.headers and not request.repeated:
            # By far the most requests carry one of our own newest keys, and nothing else.
            value = request.headers.get("authorization", "")
            if value.startswith(self._prefix):
                found = self._read(value[7:])
                return found if isinstance(found, Refused) else (found,)
        bearer = self._from_authorization(request)
        if isinstance(bearer, Refused):
            return bearer
        own = self._from_key_header(request) if self.key_header is not None else None
        if isinstance(own, Refused):
            return own
        if own is None or own == bearer:
            return None if bearer is None else (bearer,)
        return (own,) if bearer is None else (bearer, own)

    def _from_authorization(self, request: Request) -> Presented | Refused | None:
        value = request.headers.get("authorization")
        if value is None:
            return None
        if "authorization" in request.repeated:
            return Refused(Reason.CREDENTIAL_REPEATED, "more than one Authorization header")
        return self._read_bearer(value)

    def _from_key_header(self, request: Request) -> Presented | Refused | None:
        name = self.key_header or ""
        value = request.headers.get(name)
        if value is None:
            return None
        if name in request.repeated:
            return Refused(Reason.CREDENTIAL_REPEATED, f"more than one {name} header")
        if value.startswith(f"{self.brand}_"):
            return self._read(value)
        if self._anywhere.search(value):
            return Refused(Reason.CREDENTIAL_MALFORMED, _text_fault(value, self.brand))
        return None

    def _read_bearer(self, value: str) -> Presented | Refused | None:
        if value.startswith(self._prefix):
            return self._read(value[7:])
        ours = self._anywhere.search(value) is not None
        if not value.startswith("Bearer "):
            if ours or _claims_bearer(value):
                return Refused(Reason.CREDENTIAL_MALFORMED, _scheme_fault(value))
            return None
        if ours or not _TEXT.fullmatch(value, 7):
            return Refused(Reason.CREDENTIAL_MALFORMED, _text_fault(value[7:], self.brand))
        return None

    def _read(self, text: str) -> Presented | Refused:
        if len(text) > MAX_LENGTH:
            return Refused(Reason.CREDENTIAL_MALFORMED, f"the key is longer than {MAX_LENGTH}")
        new = self._new.fullmatch(text)
        if new is None:
            return self._read_imported(text)
        if checksum(text[:-CHECKSUM_LENGTH]) != text[-CHECKSUM_LENGTH:]:
            return Refused(
                Reason.CREDENTIAL_MALFORMED, "the key's checksum is wrong: mistyped or cut short"
            )
        return Presented(self.name, new[1], digest("service_key", text))

    def _read_imported(self, text: str) -> Presented | Refused:
        """Read any shape but our own newest, which a checksum guards."""
        parts = text.split("_", 3)
        if len(parts) != 4 or "" in parts or parts[0] != self.brand:  # noqa: PLR2004 - the format's four parts
            return Refused(Reason.CREDENTIAL_MALFORMED, _text_fault(text, self.brand))
        if not _TEXT.fullmatch(text):
            return Refused(Reason.CREDENTIAL_MALFORMED, "the key holds a character no key has")
        others = _foreign_digests(text)
        return Presented(self.name, parts[2], digest("service_key", text), others=others)

    def claim(self, text: str) -> Presented | Refused:
        """Return what a key's text claims, whatever header it would be sent in."""
        return self._read(text)

    def issue(self, spec: Spec, entropy: bytes) -> Issued:
        """Make `{brand}_{service}_{12 of Crockford base32}_{26 of base62}{checksum}`.

        `entropy` is 48 fresh random bytes; ValueError otherwise.
        """
        if len(entropy) != ENTROPY_BYTES:
            msg = f"issue needs {ENTROPY_BYTES} bytes of entropy"
            raise ValueError(msg)
        key_id = draw(entropy[:_ID_ENTROPY], CROCKFORD_LOWER, ID_LENGTH)
        body = f"{self.brand}_{spec.service}_{key_id}_" + draw(
            entropy[_ID_ENTROPY:], BASE62, RANDOM_LENGTH
        )
        text = body + checksum(body)
        return Issued(
            id=key_id,
            secret=Secret(text),
            digest=digest("service_key", text),
            hint=f"{self.brand}_{spec.service}_{key_id}_…",
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


def foreign_digest(name: str, told: str) -> bytes:
    """Return what is kept of a key whose hash alone was imported, `told` in hexadecimal.

    It begins with the hash's name, so that it is never taken for a digest of Latchgate's own.
    """
    return name.encode() + b":" + digest(f"service_key {name}", told)


def _foreign_digests(text: str) -> tuple[bytes, ...]:
    return tuple(
        foreign_digest(name, hashlib.new(name, text.encode()).hexdigest())
        for name in FOREIGN_HASHES
    )


def _claims_bearer(value: str) -> bool:
    return value[:6].lower() == "bearer" or value != value.strip()


def _scheme_fault(value: str) -> str:
    if value[:6].lower() == "bearer" and value[:6] != "Bearer":
        return "the scheme must be spelled Bearer"
    if value[:6] == "Bearer":
        return "exactly one space must stand between Bearer and the key"
    return "the scheme is missing: write Bearer, one space, then the key"


def _text_fault(text: str, brand: str) -> str:
    if text != text.strip() or " " in text:
        return "extra spaces stand around or inside the key"
    return f"a key is written {brand}_SERVICE_ID_SECRET"
