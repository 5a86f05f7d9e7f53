"""What can go wrong for a program that calls a cloud.

Rule of this file: every error says what was wrong and what would be right, keeps the provider's own
code and words where there are any, and holds no secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, Self


class ClientError(Exception):
    """Whatever this library raises."""

    def again(self) -> Self:
        """Return the same error anew, for one more of those who waited for what failed."""
        other = copy(self)
        other.__cause__ = self
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        # Python would call the class with `args` alone, which lack what is given by name.
        return _anew, (type(self), self.args), self.__dict__


def _anew(kind: type[ClientError], args: tuple[object, ...]) -> ClientError:
    return kind.__new__(kind, *args)


class CredentialMissing(ClientError):  # noqa: N818 - errors are named as the clouds name them
    """No source had a credential; `tried` says which were looked at, and what each lacked."""

    def __init__(self, message: str, *, tried: Sequence[str] = ()) -> None:
        told = "".join(f"\n  {one}" for one in tried)
        super().__init__(f"{message}; tried:{told}" if tried else message)
        self.tried = tuple(tried)


class CredentialInvalid(ClientError):  # noqa: N818 - as above
    """A credential can't be one of that cloud's, or two were given that exclude each other."""


class SourceUnreadable(ClientError):  # noqa: N818 - as above
    """A source that was asked for by name can't be read: broken file, locked keyring, failed command."""


class AddressUnused(UserWarning):
    """A cloud's address is set where there is no credential for it; it is not used.

    It would send a credential from elsewhere to whoever wrote it: set both in one place, or give
    `url` as an argument.
    """


class SourceExposed(UserWarning):
    """A file that a credential was found in can be read by others on this machine."""


class WrongHost(ClientError):  # noqa: N818 - as above
    """A request goes to a host that is not the cloud's; nothing was sent."""


class InsecureTransport(ClientError):  # noqa: N818 - as above
    """A credential would have gone over a connection without TLS 1.2 or later; nothing was sent."""


class Unreachable(ClientError):  # noqa: N818 - as above
    """Nobody answered, or with something that no such server says; whether it did is unknown."""


class Refused(ClientError):  # noqa: N818 - as above
    """A cloud refused: `status`, its `code` and `message`, and what else is known.

    `decision` is the refusal's id where the server is Latchgate: `latchgate explain --id` says
    more. `retry_after` is seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        cloud: str | None = None,
        decision: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.message, self.status, self.code = message, status, code
        self.cloud, self.decision, self.retry_after = cloud, decision, retry_after
        super().__init__(message)

    def __str__(self) -> str:
        before = f"{self.cloud}: " if self.cloud else ""
        known = f"{self.status} {self.code}" if self.code else str(self.status)
        after = f"; decision {self.decision}" if self.decision else ""
        return f"{before}{self.message} ({known}{after})"


class AuthenticationFailed(Refused):
    """The credential does not stand: wrong, revoked, or its owner is gone (401)."""


class KeyExpired(AuthenticationFailed):
    """The credential's time is over."""


class KeyRevoked(AuthenticationFailed):
    """The credential was revoked or deleted."""


class SignInEnded(AuthenticationFailed):
    """A person's sign-in is over, was withdrawn or never came: they have to sign in again."""


class NotReady(Refused):
    """What was asked for is being made: ask again later (202)."""


class PermissionDenied(Refused):
    """The credential stands, and may not do this (403)."""


class RateLimited(Refused):
    """Too many requests (429); `retry_after` says when to come back, where the cloud does."""
