"""Other programs that are asked whether a credential stands, in the same run as Latchgate.

Each as its documentation starts it for production, with one process that answers on the measured
core, records in SQLite or memory, and a small program of benchmarks/rivals/ where it is a library.
`make rivals` installs them; what is not installed is named in the report with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import introspection
from benchmarks.machine import UnableError
from benchmarks.tokens import WARM_UP_SECONDS, Asked, Round, measured

TOKENS = 32
Opened = AbstractContextManager[tuple[int, list[Asked]]]
_PEERS: Mapping[str, Callable[[Path, int], Opened]] = {
    "oidc-provider": lambda folder, core: introspection.oidc_provider(folder, core, TOKENS),
    "django-oauth-toolkit": lambda folder, core: introspection.django_toolkit(folder, core, TOKENS),
}
# The Go module proxy that was reached answers 403 for both, so there is nothing to build.
_UNREACHED = "its module is not to be had from the Go module proxy that was reached"
_ABSENT = {"Ory Oathkeeper": _UNREACHED, "Authelia": _UNREACHED}


@dataclass(frozen=True, slots=True)
class Peers:
    """Those that run, as what takes one round of each, and why others don't."""

    turns: Mapping[str, Callable[[int], Round]]
    absent: Mapping[str, str]


@contextmanager
def running(folder: Path, core: int) -> Iterator[Peers]:
    """Run every peer that is installed, each asked for a while already."""
    turns: dict[str, Callable[[int], Round]] = {}
    absent = dict(_ABSENT)
    with ExitStack() as stack:
        for name, opened in _PEERS.items():
            try:
                process, (asked, *_) = stack.enter_context(opened(folder / name, core))
            except (UnableError, OSError, RuntimeError) as error:
                absent[name] = str(error).strip().splitlines()[-1]
                continue
            turns[name] = _turn(asked, process, folder)
            turns[name](WARM_UP_SECONDS)
        yield Peers(turns, absent)


def _turn(asked: Asked, process: int, folder: Path) -> Callable[[int], Round]:
    return lambda seconds: measured(asked, process, folder, seconds)
