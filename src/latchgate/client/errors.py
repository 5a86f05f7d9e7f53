"""What can go wrong for a program that calls a cloud.

Rule of this file: every error says what was wrong and what would be right, keeps the provider's own
code and words where there are any, and holds no secret.
"""

from __future__ import annotations

from collections.abc import Sequence

TYPE_CHECKING = False  # as typing's, whose import takes longer than all of this package's
if TYPE_CHECKING:
    from typing import Any, Self


class ClientError(Exception):
    """Whatever this library raises."""

    def again(self) -> Self:
        """Return the same error anew, for one more of those who waited for what failed."""
        other = type(self).__new__(type(self), *self.args)
        other.__dict__.update(self.__dict__)
        other.__cause__ = self
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are copied and pickled by their arguments alone; ours take more.
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
    """A source that was asked for by name can't be read: broken file, locked keyring."""


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

    `meaning` is how this library reads it, where that is more than the cloud said. `decision` is
    the refusal's id where the server is Latchgate: `latchgate explain --id` says more.
    `request_id` is what the cloud's own support asks for. `scope` is what the request takes and
    the credential lacks (RFC 6750 §3). `faults` are the parts of the request that were wrong, each
    with why. `retry_after` is seconds.
    """

    def __init__(  # noqa: PLR0913 - each is a part of what was said
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        cloud: str | None = None,
        meaning: str | None = None,
        decision: str | None = None,
        request_id: str | None = None,
        scope: str | None = None,
        faults: Sequence[tuple[str, str]] = (),
        retry_after: float | None = None,
    ) -> None:
        self.message, self.status, self.code = message, status, code
        self.cloud, self.meaning = cloud, meaning
        self.decision, self.request_id = decision, request_id
        self.scope, self.faults, self.retry_after = scope, tuple(faults), retry_after
        super().__init__(message)

    def __str__(self) -> str:
        known = [f"{self.status} {self.code}" if self.code else str(self.status)]
        if self.scope:
            known.append(f"it takes the scope {self.scope}")
        if self.retry_after is not None:
            known.append(f"again in {self.retry_after:g} s")
        if self.decision:
            known.append(f"decision {self.decision}")
        elif self.request_id:
            known.append(f"request {self.request_id}")
        faults = "".join(f"; {part}: {why}" if part else f"; {why}" for part, why in self.faults)
        before = [one for one in (self.cloud, self.meaning) if one]
        return ": ".join([*before, f"{self.message}{faults} ({'; '.join(known)})"])


class AuthenticationFailed(Refused):
    """The credential does not stand: wrong, revoked, or its owner is gone (mostly 401)."""


class KeyExpired(AuthenticationFailed):
    """The credential's time is over; one that was rotated, too, when its grace has ended."""


class KeyRevoked(AuthenticationFailed):
    """The credential was revoked or deleted."""


class SignInEnded(AuthenticationFailed):
    """A person's sign-in is over, was withdrawn or never came: they have to sign in again."""


class NotReady(Refused):
    """What was asked for is being made: ask again later (202)."""


class PermissionDenied(Refused):
    """The credential stands, and may not do this (mostly 403); `scope` says what it lacks."""


class RateLimited(Refused):
    """Too many requests (mostly 429); `retry_after` says when, where the cloud does."""
