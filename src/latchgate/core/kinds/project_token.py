"""Project tokens: what an access key or a password is exchanged for, signed and kept nowhere.

`{prefix}_` and base64url of the signing key's id (32 bytes), the signature (64) and what is said
(MessagePack). Whoever decides checks the signature and puts a credential together from what the
token says and what it was minted from; from then on it is like any other. Source:
providers/kakaocloud, "Get API authentication token"; Ed25519: RFC 8032.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from latchgate.core.duration import parse_duration
from latchgate.core.kinds.spec import Leaked, LeakShape
from latchgate.core.model import (
    Facts,
    Grant,
    Presented,
    Refused,
    Request,
    Signed,
    Token,
    TraceStep,
)
from latchgate.core.reason import Reason
from latchgate.core.secret import digest
from latchgate.core.standing import verified

HEADER = "x-auth-token"
IDENTITY_PATH = "/identity/v3"
MAX_LENGTH = 4_096
LONGEST = 7 * 86_400
_KEY_BYTES = 32
_SIGNATURE_BYTES = 64
_HEAD = _KEY_BYTES + _SIGNATURE_BYTES
_LEAST = _HEAD * 4 // 3  # characters of base64url that say nothing yet
_DOMAIN = b"latchgate:project-token:1\0"
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# Which characters base64url can end in, by its length modulo 4: the bits left over are zero
# (RFC 4648 §3.5).
_LAST = (frozenset(_ALPHABET), frozenset(""), frozenset(_ALPHABET[::16]), frozenset(_ALPHABET[::4]))
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Token).decode


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a policy file says of this kind: `[kinds.project_token]`.

    `prefix` is what every token begins with, before the underscore; `lifetime` how long one lasts,
    as a duration; `identity_url` where clients reach the identity API, up to `/v3`: links, the
    catalog and challenges name it. Unless given, it is below the API's own address.
    """

    prefix: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9]{1,15}\Z")]
    lifetime: str = "12h"
    identity_url: Annotated[str, msgspec.Meta(pattern=r"^https?://[!-~]+[^/]\Z")] | None = None
    region: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")] = "kr-central-2"


@dataclass(frozen=True, slots=True)
class ProjectToken:
    """A signed token sent as `X-Auth-Token`."""

    name: str
    prefix: str
    lifetime: float
    identity_url: str | None
    region: str
    _shape: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_shape", re.compile(f"{self.prefix}_([A-Za-z0-9_-]+)"))

    @classmethod
    def configured(cls, name: str, settings: Mapping[str, object]) -> ProjectToken:
        """Build the kind from its table in a policy file; msgspec.ValidationError when wrong."""
        told = msgspec.convert(settings, Settings)
        try:
            lifetime = parse_duration(told.lifetime)
        except ValueError as error:
            msg = f"{error} - at `$.lifetime`"
            raise msgspec.ValidationError(msg) from error
        if lifetime > LONGEST:
            msg = f"a token lasts {LONGEST // 86_400} days at most - at `$.lifetime`"
            raise msgspec.ValidationError(msg)
        return cls(name, told.prefix, lifetime, told.identity_url, told.region)

    @property
    def scheme(self) -> str:
        """Return the HTTP authentication scheme it is challenged with."""
        return "Keystone"

    @property
    def carriers(self) -> tuple[str, ...]:
        """Return the headers, in lower case, that it is read from."""
        return (HEADER,)

    @property
    def pattern(self) -> str:
        """Return the regular expression of a leaked token, its public part as group 1."""
        return rf"({self.prefix}_)[A-Za-z0-9_-]{{8,}}"

    @property
    def leak(self) -> LeakShape:
        """Return how a leaked token is known."""
        pattern = f"{self.prefix}_[A-Za-z0-9_-]{{{_LEAST},}}"
        return LeakShape(
            f"{self.prefix}_", "", len(self.prefix) + 1 + _LEAST, pattern, self.recognise
        )

    def recognise(self, text: str) -> Leaked | None:
        """Read a leaked token: what reads as one in its one spelling is one, whoever signed it."""
        claimed = self.claim(text)
        if isinstance(claimed, Refused):
            return None
        (token,) = claimed
        return Leaked(len(text), token.credential_id, token.digest, f"{self.prefix}_", certain=True)

    def parse(self, request: Request) -> tuple[Presented, ...] | Refused | None:
        """Read the token from `X-Auth-Token`."""
        text = request.headers.get(HEADER)
        if text is None or not text.startswith(self.prefix):
            return None
        if HEADER in request.repeated:
            return Refused(Reason.CREDENTIAL_REPEATED, "more than one X-Auth-Token header")
        return self.claim(text)

    def claim(self, text: str) -> tuple[Presented, ...] | Refused:
        """Return what a token's text claims; its signature is not checked here."""
        found = self._shape.fullmatch(text) if len(text) <= MAX_LENGTH else None
        signed = _read(found[1]) if found is not None else None
        if signed is None:
            why = f"a token is written {self.prefix}_ and base64url, as it was given out"
            return Refused(Reason.CREDENTIAL_MALFORMED, why)
        told = digest("project_token", text)
        return (Presented(self.name, signed.token.id, told, signed=signed),)

    def verify(
        self,
        presented: Presented,
        facts: Facts,
        request: Request,
        now: float,
        trace: list[TraceStep],
    ) -> Grant | Refused:
        """Compare the digest of the text whose signature was checked; only then its state."""
        return verified(presented, facts, request, now, trace)

    def reached_at(self, api_url: str) -> str | None:
        """Return where clients reach the identity API: as configured, else below the API's URL."""
        if self.identity_url is not None:
            return self.identity_url
        return f"{api_url}{IDENTITY_PATH}" if api_url else None

    def spell(self, key_id: bytes, signature: bytes, payload: bytes) -> str:
        """Return the text of a token from its parts."""
        body = urlsafe_b64encode(key_id + signature + payload).rstrip(b"=").decode()
        return f"{self.prefix}_{body}"


def payload_of(token: Token) -> tuple[bytes, bytes]:
    """Return a token's payload, and the message over it that is signed, in its own domain."""
    payload = _encode(token)
    return payload, _DOMAIN + payload


def _read(body: str) -> Signed | None:
    # Another spelling of the same bytes would be another digest of the same token.
    if body[-1] not in _LAST[len(body) % 4]:
        return None
    try:
        raw = urlsafe_b64decode(body + "=" * (-len(body) % 4))
        token = _decode(raw[_HEAD:])
    except (ValueError, msgspec.MsgspecError):
        return None
    if _encode(token) != raw[_HEAD:]:
        return None
    key_id = urlsafe_b64encode(raw[:_KEY_BYTES]).rstrip(b"=").decode()
    return Signed(token, key_id, _DOMAIN + raw[_HEAD:], raw[_KEY_BYTES:_HEAD])
