"""What a decision that had to wait is given when it is made anew.

Rule of this file: what was read for one request alone serves that request, and only while memory
is where it was before.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import TypeVar

import msgspec

from latchgate.core.model import Key, Refused
from latchgate.core.policy import Policy
from latchgate.store.errors import StoreError
from latchgate.verify.cache import Cache, Moment
from latchgate.verify.walk import Fetch, Slow

_T = TypeVar("_T")


class Aside(msgspec.Struct, frozen=True):
    """What was read for one request alone, when memory could not be believed.

    Good for as long as memory is at `moment`, where it was before `keys` were read: once it has
    moved on, it may have said that it dropped what this still holds.
    """

    keys: tuple[Key, ...]
    cache: Cache
    policy: Policy
    moment: Moment


class Given(msgspec.Struct, frozen=True):
    """What slow work came to: why it was not done, what was read aside, or that a read failed."""

    refused: Refused | None = None
    aside: Aside | None = None
    failed: bool = False

    def then(self, more: Given) -> Given:
        """Return this with what more came of further work."""
        return Given(more.refused or self.refused, more.aside or self.aside, more.failed)

    def further(self, need: Fetch) -> Fetch:
        """Return a read that is needed; StoreError where the one before it failed."""
        if self.failed:
            msg = "the database can't be reached"
            raise StoreError(msg)
        return need


NOTHING = Given()


def read_for(aside: Aside | None, found: _T | Slow, given: Given) -> _T | Slow:
    """Return what was found where it was all read aside, or all the reads that it takes at once.

    Even what needs no record was decided by a policy, which may have been replaced.
    """
    if isinstance(found, Fetch):
        return Fetch((*(aside.keys if aside is not None else ()), *found.keys), None)
    return found if aside is not None else given.further(Fetch((), None))


def given_by(work: Future[Refused | None]) -> Future[Given]:
    """Return a future of what slow work came to, as a decision is given it."""
    told: Future[Given] = Future()

    def done(finished: Future[Refused | None]) -> None:
        if finished.cancelled():
            told.cancel()
            told.set_running_or_notify_cancel()
        elif (error := finished.exception()) is not None:
            told.set_exception(error)
        else:
            told.set_result(Given(finished.result()))

    work.add_done_callback(done)
    return told
