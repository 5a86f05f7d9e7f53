"""An iterator worked through by another process, while what it gave last is used here.

Rule of this file: nothing of the other process outlives the use of what it gives.
"""

from __future__ import annotations

import gc
import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, TypeVar

T = TypeVar("T")
_END_SECONDS = 10.0


class AheadError(Exception):
    """The other process ended before its work did."""


@contextmanager
def ahead(made: Iterator[T]) -> Iterator[Iterator[T]]:
    """Let a forked copy of this process work an iterator through, one ahead of who uses it.

    The copy takes the iterator as it stands; here it is not to be used again, and no other thread
    may hold what it needs. An exception of the iterator is raised here; AheadError when the copy
    was ended.
    """
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    copy = context.Process(target=_work, args=(made, here, there), daemon=True)
    copy.start()
    # This process's own copy: while it is open, no end of the other one would be seen.
    there.close()
    try:
        yield _received(here)
    finally:
        here.close()
        copy.terminate()
        copy.join(_END_SECONDS)


def _received(here: Connection) -> Iterator[Any]:
    while True:
        try:
            more, given = here.recv()
        except (EOFError, OSError):
            msg = "the process that reads ahead was ended"
            raise AheadError(msg) from None
        if more:
            yield given
        elif given is None:
            return
        else:
            raise given


def _work(made: Iterator[Any], here: Connection, there: Connection) -> None:
    here.close()  # with it open, nobody's end would be noticed by what is sent
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal tells both; the other one decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.disable()
    # Nobody reads any more when a pipe breaks.
    with suppress(BrokenPipeError):
        try:
            for given in made:
                there.send((True, given))
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where it is used
            there.send((False, error))
        else:
            there.send((False, None))
