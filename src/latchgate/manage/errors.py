"""What a management call can be refused for; doors and CLI word these, nothing else."""

from __future__ import annotations


class ManageError(Exception):
    """A call that was refused; nothing was changed."""


class InvalidError(ManageError):
    """Fields that can't be taken, each with what would be right."""

    def __init__(self, faults: list[tuple[str, str]]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"{field}: {problem}" for field, problem in faults))


class ForbiddenError(ManageError):
    """The actor does not hold what it tried to use or to hand out."""


class NotFoundError(ManageError):
    """There is no such record, or it is not the actor's to see."""


class UnprovenError(ManageError):
    """The secret that proves who asks is missing or wrong; which of the two is not told."""


class StepUpError(UnprovenError):
    """Who asks must prove again that it is they; `max_age` is how old a sign-in may be, in seconds.

    RFC 9470, "OAuth 2.0 Step Up Authentication Challenge Protocol".
    """

    def __init__(self, why: str, *, max_age: int) -> None:
        self.max_age = max_age
        super().__init__(why)


class TooManyError(ManageError):
    """Too much was asked of late; `retry_after` is how many seconds to wait."""

    def __init__(self, why: str, *, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(why)


class StaleError(ManageError):
    """The record is at another version than the caller meant to change."""

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__(f"the record was changed meanwhile; it is at version {version} now")
