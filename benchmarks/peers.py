"""Other programs that are asked whether a credential stands, in the same run as Latchgate.

Each as its documentation starts it for production, with one process that answers on the measured
core, records in SQLite or memory, and a small program of benchmarks/rivals/ where it is a library.
What can't be started is named in the report with the reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import access_proxies, api_keys, introspection, keystones
from benchmarks.machine import ROOT, UnableError
from benchmarks.tokens import WARM_UP_SECONDS, Asked, Round, measured

CREDENTIALS = 1_000  # of each that keeps them in a database
TOKENS = 32  # of those that are asked about tokens: each takes a login
Opened = AbstractContextManager[list[tuple[int, Asked]]]


def _introspected(
    opened: Callable[[Path, int, int], AbstractContextManager[tuple[int, list[Asked]]]],
) -> Callable[[Path, int, int], Opened]:
    @contextmanager
    def running(folder: Path, core: int, _keys: int) -> Iterator[list[tuple[int, Asked]]]:
        with opened(folder, core, TOKENS) as (process, every):
            yield [(process, asked) for asked in every]

    return running


def _of_tokens(opened: Callable[[Path, int, int], Opened]) -> Callable[[Path, int, int], Opened]:
    return lambda folder, core, _keys: opened(folder, core, TOKENS)


# By what starts them: the names of the programs that then run.
_PEERS: Mapping[tuple[str, ...], Callable[[Path, int, int], Opened]] = {
    ("better-auth",): api_keys.better_auth,
    ("djangorestframework-api-key",): api_keys.django_api_key,
    ("oidc-provider",): _introspected(introspection.oidc_provider),
    ("django-oauth-toolkit",): _introspected(introspection.django_toolkit),
    ("Keystone", "keystonemiddleware"): keystones.keystone,
    (access_proxies.OATHKEEPER,): _of_tokens(access_proxies.oathkeeper),
    (access_proxies.SESSION, access_proxies.PASSWORD): access_proxies.authelia,
}


_PINNED = re.compile(
    r"^(django-oauth-toolkit|djangorestframework-api-key|gunicorn|keystone|keystonemiddleware)"
    r"==(\S+)",
    re.MULTILINE,
)


def versions() -> str:
    """Return what was pinned of the programs."""
    from_npm = json.loads((introspection.FOLDER / "package.json").read_text())["dependencies"]
    told = {name: from_npm[name] for name in ("better-auth", "oidc-provider")}
    for lock in ("rivals", "keystone"):
        told |= dict(_PINNED.findall((ROOT / "locks" / f"{lock}.txt").read_text()))
    told |= access_proxies.versions()
    return ", ".join(f"{name} {version}" for name, version in sorted(told.items()))


@dataclass(frozen=True, slots=True)
class Peers:
    """Those that run, as what takes one round of each, and why others don't."""

    turns: Mapping[str, Callable[[int], Round]]
    absent: Mapping[str, str]


@contextmanager
def running(folder: Path, core: int) -> Iterator[Peers]:
    """Run every peer that is installed, each asked for a while already."""
    turns: dict[str, Callable[[int], Round]] = {}
    absent: dict[str, str] = {}
    with ExitStack() as stack:
        for names, opened in _PEERS.items():
            try:
                started = stack.enter_context(opened(folder / names[0], core, CREDENTIALS))
            except (UnableError, OSError, RuntimeError, AssertionError) as error:
                absent |= dict.fromkeys(names, _last_line(error))
                continue
            for process, asked in started:
                turns[asked.server] = _turn(asked, process, folder)
                turns[asked.server](WARM_UP_SECONDS)
        yield Peers(turns, absent)


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def _turn(asked: Asked, process: int, folder: Path) -> Callable[[int], Round]:
    return lambda seconds: measured(asked, process, folder, seconds)
