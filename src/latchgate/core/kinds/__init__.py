"""Kinds of credential: one file each, listed here.

A kind is a frozen dataclass with its settings and `parse`, `issue`, `verify`. Adding one is a
file, a line in `KINDS` and its settings in a policy file; the law tests pick it up from here. What
somebody else issues is in `ASSERTED` or `IMPORTED`, for the laws of issuing don't hold for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from latchgate.core.kinds.access_key import AccessKey
from latchgate.core.kinds.account_password import AccountPassword
from latchgate.core.kinds.api_token import ApiToken
from latchgate.core.kinds.app_password import AppPassword
from latchgate.core.kinds.application_key import ApplicationKeyKind
from latchgate.core.kinds.client_secret import ClientSecret
from latchgate.core.kinds.imported_key import ImportedKey
from latchgate.core.kinds.oauth_token import OauthToken
from latchgate.core.kinds.oidc_bearer import OidcBearer
from latchgate.core.kinds.project_token import ProjectToken
from latchgate.core.kinds.service_key import ServiceKey
from latchgate.core.kinds.spec import Issued, Leaked, LeakShape, Spec
from latchgate.core.model import Facts, Grant, Presented, Refused, Request, TraceStep


class AnyKind(Protocol):
    """What every kind can do, with no I/O, clock or randomness of its own.

    Those that are issued have `entropy_bytes` and `issue` as well; a token is minted (tokens/).
    """

    @property
    def name(self) -> str:
        """Return the name that records and areas use: `{provider}.{kind}`."""
        ...

    @property
    def pattern(self) -> str | None:
        """Return the regular expression of a leaked one; None when it looks like nothing."""
        ...

    @property
    def leak(self) -> LeakShape | None:
        """Return how a leaked one is known in bytes; None when it can't be."""
        ...

    @property
    def scheme(self) -> str:
        """Return the HTTP authentication scheme it is challenged with."""
        ...

    @property
    def carriers(self) -> tuple[str, ...]:
        """Return the headers, in lower case, that it is read from."""
        ...

    def parse(self, request: Request) -> tuple[Presented, ...] | Refused | None:
        """Return what is claimed, why it is ours but broken, or None when it is not ours."""
        ...


@runtime_checkable
class IssuedKind(AnyKind, Protocol):
    """A kind whose secrets are issued, one by one, and recorded."""

    @property
    def entropy_bytes(self) -> int:
        """Return how many fresh random bytes `issue` takes."""
        ...

    def issue(self, spec: Spec, entropy: bytes) -> Issued:
        """Make a new secret and its digest from `entropy_bytes` fresh random bytes."""
        ...


class Kind(AnyKind, Protocol):
    """A kind that names a user: what an area may accept."""

    def verify(
        self,
        presented: Presented,
        facts: Facts,
        request: Request,
        now: float,
        trace: list[TraceStep],
    ) -> Grant | Refused:
        """Compare the secret first, then judge whether the credential stands."""
        ...


# The word a policy file uses -> how the kind is built from (its full name, its settings).
KINDS: Mapping[str, Callable[[str, Mapping[str, object]], Kind]] = {
    "service_key": ServiceKey.configured,
    "api_token": ApiToken.configured,
    "app_password": AppPassword.configured,
    "account_password": AccountPassword.configured,
}

# It is signed and recorded nowhere: minted (tokens/) instead of issued.
SIGNED: Mapping[str, Callable[[str, Mapping[str, object]], Kind]] = {
    "project_token": ProjectToken.configured,
    "oauth_token": OauthToken.configured,
}

# It is exchanged for a token, and never sent with a request of its own: no area accepts it.
EXCHANGED: Mapping[str, Callable[[str, Mapping[str, object]], AccessKey | ClientSecret]] = {
    "access_key": AccessKey.configured,
    "client_secret": ClientSecret.configured,
}

# The same, of what Latchgate does not issue: an identity provider signs it, a link makes it ours.
ASSERTED: Mapping[str, Callable[[str, Mapping[str, object]], Kind]] = {
    "oidc_bearer": OidcBearer.configured,
}

# What another system issued once: it comes in by import alone.
IMPORTED: Mapping[str, Callable[[str, Mapping[str, object]], Kind]] = {
    "imported_key": ImportedKey.configured,
}

# It names a program beside a user: an area asks for it on top of what it accepts.
APPLICATION_KEY = "application_key"

__all__ = [
    "APPLICATION_KEY",
    "ASSERTED",
    "EXCHANGED",
    "IMPORTED",
    "KINDS",
    "SIGNED",
    "AnyKind",
    "ApplicationKeyKind",
    "ClientSecret",
    "ImportedKey",
    "Issued",
    "IssuedKind",
    "Kind",
    "LeakShape",
    "Leaked",
    "OauthToken",
    "OidcBearer",
    "Spec",
]
