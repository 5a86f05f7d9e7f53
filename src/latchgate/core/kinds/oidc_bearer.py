"""A bearer token of the operator's identity provider: `Authorization: Bearer` and a signed JWT.

Latchgate does not issue it. What it issues is the link between somebody at that provider and a
user: a record like any other credential's, found by (issuer, subject), whose digest is that of the
two. A proven token has that digest and no other; so rights, networks, disabling, unlinking and the
journal are those of every credential. Source: providers/wayscloud, "Via API (Programmatic)", which
takes a Keycloak token.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from latchgate.core.assertion import (
    ALGORITHMS,
    Assertion,
    Issuer,
    header_fault,
    identity,
    read_statement,
    subject_fault,
)
from latchgate.core.kinds.spec import Issued, LeakShape, SentBearer, Spec
from latchgate.core.model import Facts, Grant, Presented, Refused, Request, TraceStep
from latchgate.core.reason import Reason
from latchgate.core.secret import CROCKFORD_LOWER, Secret, draw
from latchgate.core.standing import verified

_ID_LENGTH = 12
_ID_ENTROPY = 17
_SCHEME = re.compile(r"bearer +", re.IGNORECASE)
_URL = re.compile(r"https?://[!-~]{1,2000}")


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a policy file says of this kind: `[kinds.oidc_bearer]`.

    `issuer` is compared with `iss` to the letter, `audience` must be in `aud`; `jwks_uri` is where
    the keys are, over HTTPS or on this machine; `algorithms` are those of public keys only. With
    `manage` Latchgate's own APIs take these tokens too, wherever they take its OAuth2 tokens.
    """

    issuer: str
    jwks_uri: str
    audience: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    algorithms: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = (
        "RS256",
        "PS256",
        "ES256",
        "EdDSA",
    )
    manage: bool = False

    def __post_init__(self) -> None:
        for name in ("issuer", "jwks_uri"):
            fault = _url_fault(getattr(self, name), fetched=name == "jwks_uri")
            if fault is not None:
                raise ValueError(f"{name} {fault}")
        unknown = sorted(set(self.algorithms) - ALGORITHMS)
        if unknown:
            known = ", ".join(sorted(ALGORITHMS))
            raise ValueError(f"algorithms can't hold {', '.join(unknown)}; there are {known}")


@dataclass(frozen=True, slots=True)
class OidcBearer(SentBearer):
    """A token of one issuer, sent as Bearer."""

    name: str
    issuer: Issuer
    manage: bool = False

    @classmethod
    def configured(cls, name: str, settings: Mapping[str, object]) -> OidcBearer:
        """Build the kind from its table in a policy file; msgspec.ValidationError when wrong."""
        told = msgspec.convert(settings, Settings)
        made = Issuer(told.issuer, told.jwks_uri, told.audience, told.algorithms)
        return cls(name=name, issuer=made, manage=told.manage)

    @property
    def pattern(self) -> str | None:
        """Return None: tokens of every issuer look alike, and all are masked (`core.redact`)."""
        return None

    @property
    def leak(self) -> LeakShape | None:
        """Return None: whose token a leaked one is, its issuer knows."""
        return None

    @property
    def entropy_bytes(self) -> int:
        """Return how many random bytes `issue` takes."""
        return _ID_ENTROPY

    def parse(self, request: Request) -> tuple[Presented, ...] | Refused | None:
        """Read a token of this issuer from `Authorization: Bearer`, in any case (RFC 9110 §11.1).

        Another issuer's is not ours. Who it says it is for is only where to look: the digest of
        what was presented stays empty until the signature has been checked.
        """
        value = request.headers.get("authorization")
        scheme = _SCHEME.match(value) if value is not None else None
        if value is None or scheme is None:
            return None
        text = value[scheme.end() :]
        told = read_statement(text)
        if told is None:
            return None
        if isinstance(told, str):
            return Refused(Reason.CREDENTIAL_MALFORMED, told)
        if told.claims.get("iss") != self.issuer.url:
            return None
        if "authorization" in request.repeated:
            return Refused(Reason.CREDENTIAL_REPEATED, "more than one Authorization header")
        fault = header_fault(told.header) or subject_fault(told.claims)
        if fault is None and told.header["alg"] not in self.issuer.algorithms:
            fault = f"the token is not signed with {' or '.join(self.issuer.algorithms)}"
        if fault is not None:
            return Refused(Reason.CREDENTIAL_MALFORMED, fault)
        assertion = Assertion(Secret(text), self.issuer, told.header["alg"], told.header.get("kid"))
        who = identity(self.issuer.url, told.claims["sub"])
        return (Presented(self.name, "", b"", login=who, assertion=assertion),)

    def issue(self, spec: Spec, entropy: bytes) -> Issued:
        """Make the id of a link; nothing is shown, for the token is the provider's.

        Its digest is empty: it is that of whom the link is for. `entropy` is 17 fresh random bytes;
        ValueError when it is not.
        """
        if len(entropy) != self.entropy_bytes:
            raise ValueError(f"issue needs {self.entropy_bytes} bytes of entropy")
        drawn = draw(entropy, CROCKFORD_LOWER, _ID_LENGTH)
        return Issued(id=f"link-{drawn}", secret=Secret(""), digest=b"", hint="")

    def verify(
        self,
        presented: Presented,
        facts: Facts,
        request: Request,
        now: float,
        trace: list[TraceStep],
    ) -> Grant | Refused:
        """Compare whom the token was proven to name; only then look at the link's state."""
        return verified(presented, facts, request, now, trace)


def _url_fault(url: str, *, fetched: bool) -> str | None:
    """Say what is wrong with a URL; what is fetched comes in the clear from this machine only."""
    try:
        told = urlsplit(url)
        host, _ = told.hostname or "", told.port
    except ValueError:
        return "is not a URL"
    if not _URL.fullmatch(url) or not host or told.fragment or "#" in url or told.username:
        return "must be an absolute URL without user and fragment, such as https://id.example/realm"
    if told.scheme == "https" or host == "localhost" or not fetched:
        return None
    try:
        near = ipaddress.ip_address(host).is_loopback
    except ValueError:
        near = False
    return None if near else "must begin with https:// (http:// only on this machine)"
