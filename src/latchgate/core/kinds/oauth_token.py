"""OAuth2 access tokens: JSON Web Tokens that this Latchgate signed, sent as Bearer.

One is kept nowhere: it says which credential it was minted from (`grant_id`), and whoever decides
puts a credential together from both (docs/decisions/0018). Read strictly: a header of exactly three
members, so that nothing in it can name a key, and each part in the one spelling that base64url has.
Source: RFC 9068; RFC 8725, the current best practice; RFC 6750 for how it is sent.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from latchgate.core.duration import parse_duration
from latchgate.core.kinds.spec import LeakShape
from latchgate.core.model import (
    AccessToken,
    Facts,
    Grant,
    Presented,
    Refused,
    Request,
    Signed,
    TraceStep,
)
from latchgate.core.reason import Reason
from latchgate.core.scope import EVERY, NONE, Scopes
from latchgate.core.secret import digest
from latchgate.core.standing import verified

GRANT = "oauth_grant"  # the word of the kind that grants have: nobody presents one
TYPE = "at+jwt"  # RFC 9068 §2.1
ALGORITHM = "ES256"
MAX_LENGTH = 4_096
LONGEST = 86_400
_SCHEME = re.compile(r"bearer +", re.IGNORECASE)
_SHAPE = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_SIGNATURE_BYTES = 64
_OPENING = "eyJ"  # of {", in base64url: where the header of a signed token begins


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a policy file says of this kind: `[kinds.oauth_token]`.

    `lifetime` is how long a token lasts, as a duration; `audience` whom it is meant for, which
    those that verify it offline compare with their own name. `issuer` is not for files: the server
    gives its own, and where none is known nobody's token is taken.
    """

    lifetime: str = "10m"
    audience: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] = "latchgate"
    issuer: str | None = None


# No number that a clock never shows: one of hundreds of digits has no float.
_Moment = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]


class _Header(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    alg: Literal["ES256"]
    kid: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    typ: Literal["at+jwt"]


class Claims(msgspec.Struct, frozen=True, omit_defaults=True):
    """The claims of an access token (RFC 9068 §2.2); times are Unix seconds, whole ones.

    `grant_id` is Latchgate's own: the credential that the token was minted from. `act` says who
    acts by an exchange (RFC 8693 §4.1).
    """

    iss: str
    aud: str
    sub: str
    client_id: str
    grant_id: str
    jti: str
    iat: _Moment
    exp: _Moment
    scope: str = ""
    auth_time: int | None = None
    act: dict[str, str] | None = None


_claims = msgspec.json.Decoder(Claims).decode
_header = msgspec.json.Decoder(_Header).decode


class _Issuer(msgspec.Struct, frozen=True):
    iss: str


_issuer = msgspec.json.Decoder(_Issuer).decode
# What a stranger's bytes do to the parser; the last of a JSON that is nested a thousand deep.
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class OauthToken:
    """An access token of this Latchgate's own issuer."""

    name: str
    lifetime: float
    audience: str
    issuer: str | None

    @classmethod
    def configured(cls, name: str, settings: Mapping[str, object]) -> OauthToken:
        """Build the kind from its table in a policy file; msgspec.ValidationError when wrong."""
        told = msgspec.convert(settings, Settings)
        try:
            lifetime = parse_duration(told.lifetime)
        except ValueError as error:
            msg = f"{error} - at `$.lifetime`"
            raise msgspec.ValidationError(msg) from error
        if lifetime > LONGEST:
            msg = "an access token lasts a day at most - at `$.lifetime`"
            raise msgspec.ValidationError(msg)
        return cls(name, lifetime, told.audience, told.issuer)

    @property
    def grant_kind(self) -> str:
        """Return the kind of the grants that tokens are minted from."""
        return f"{self.name.partition('.')[0]}.{GRANT}"

    @property
    def scheme(self) -> str:
        """Return the HTTP authentication scheme it is challenged with."""
        return "Bearer"

    @property
    def carriers(self) -> tuple[str, ...]:
        """Return the headers, in lower case, that it is read from."""
        return ("authorization",)

    @property
    def pattern(self) -> str | None:
        """Return None: every JWT looks alike, and all are masked (`core.redact`)."""
        return None

    @property
    def leak(self) -> LeakShape | None:
        """Return None: it ends in minutes, and nothing in its text tells it from another's JWT."""
        return None

    def parse(self, request: Request) -> tuple[Presented, ...] | Refused | None:
        """Read a token of this issuer from `Authorization: Bearer`, in any case (RFC 9110 §11.1).

        Another issuer's is not ours.
        """
        value = request.headers.get("authorization")
        scheme = _SCHEME.match(value) if value is not None else None
        if value is None or scheme is None:
            return None
        text = value[scheme.end() :]
        claimed = self.claim(text)
        if claimed is not None and "authorization" in request.repeated:
            return Refused(Reason.CREDENTIAL_REPEATED, "more than one Authorization header")
        return claimed

    def claim(self, text: str) -> tuple[Presented, ...] | Refused | None:
        """Return what a token's text claims, None when another's; its signature is not checked."""
        # Most of what comes as Bearer is a key, and costs no more than this.
        if not text.startswith(_OPENING):
            return None
        found = _SHAPE.fullmatch(text) if len(text) <= MAX_LENGTH else None
        if found is None or self.issuer is None:
            return None
        head, body, mark = (_read(part) for part in found.groups())
        if head is None or body is None or mark is None or not self._is_ours(body):
            return None
        try:
            header, claims = _header(head), _claims(body)
        except _UNREADABLE:
            why = f"the token is no {TYPE} of this issuer's, signed with {ALGORITHM}"
            return Refused(Reason.CREDENTIAL_MALFORMED, why)
        if claims.aud != self.audience or len(mark) != _SIGNATURE_BYTES:
            return Refused(Reason.CREDENTIAL_MALFORMED, f"the token's aud is not {self.audience}")
        if not 0 < claims.exp - claims.iat <= LONGEST:
            # None was ever signed here: who stole a key that was retired could date one back.
            return Refused(Reason.CREDENTIAL_MALFORMED, "the token lasts longer than any does")
        names = claims.scope.split()
        token = AccessToken(
            id=claims.jti,
            credential_id=claims.grant_id,
            # `*` is the name of no scope here: only a role may hold all of them.
            scopes=Scopes.of(names) if names and EVERY not in names else NONE,
            issued_at=float(claims.iat),
            expires_at=float(claims.exp),
        )
        signed = Signed(token, header.kid, f"{found[1]}.{found[2]}".encode(), mark)
        told = digest("oauth_token", text)
        return (Presented(self.name, token.id, told, signed=signed),)

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

    def _is_ours(self, body: bytes) -> bool:
        try:
            return _issuer(body).iss == self.issuer
        except _UNREADABLE:
            return False


def read_claims(text: str) -> Claims:
    """Return what a token says whose text `claim` took; ValueError for any other."""
    found = _SHAPE.fullmatch(text)
    body = _read(found[2]) if found is not None else None
    if body is None:
        msg = "not a token"
        raise ValueError(msg)
    return _claims(body)


def _read(part: str) -> bytes | None:
    """Read base64url without padding; None for another spelling of the same bytes."""
    if len(part) % 4 == 1:
        return None
    raw = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    return raw if urlsafe_b64encode(raw).rstrip(b"=").decode() == part else None
