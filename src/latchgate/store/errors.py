"""What can go wrong between Latchgate and its database."""

from __future__ import annotations


class StoreError(Exception):
    """The database could not be read or written; nothing is known to have changed."""


class RetryError(StoreError):
    """Others were changing the same at the same time: nothing was changed, and may be repeated."""


class OutcomeUnknownError(StoreError):
    """A commit failed in a way that leaves open whether it happened; never said as success."""


class ConflictError(Exception):
    """The change contradicts what is stored; `detail` says what and is safe to show."""

    def __init__(self, detail: str) -> None:
        self.detail = detail
        super().__init__(detail)


class UnstorableError(ConflictError):
    """Something was given that the database can't hold, as NUL in a text; `detail` says what."""


class NotMigratedError(StoreError):
    """The database has another schema version than this program."""
