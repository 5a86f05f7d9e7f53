"""A real Keystone asked whether tokens stand, and keystonemiddleware that remembers its answers.

Keystone with one thread and a cache in its own memory (`make interop` installs it); the middleware
before a trivial service under gunicorn, remembering in process (`make rivals`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.introspection import PYTHON, gunicorn, worker_of
from benchmarks.machine import UnableError
from benchmarks.tokens import CONNECTIONS, Asked, pin, questions
from interop.keystone.oracle import FOLDER, Keystone
from tests.clients.identity import Identity
from tests.e2e.stack import Program, accepts, curl, environment, free_address, text_of

WHAT = "decisions"
CONNECTIONS |= {"keystonemiddleware": 4}


@contextmanager
def keystone(folder: Path, core: int, _keys: int) -> Iterator[list[tuple[int, Asked]]]:
    """Run both on a core; the process id of each and what it is asked."""
    if not (FOLDER / "python").exists() or not PYTHON.is_dir():
        raise UnableError("not installed: make interop, make rivals")
    with Keystone(folder, remembers=True) as server:
        server.start(threads=1)
        identity = server.identity()
        (_, validations), tokens = questions("Keystone", identity)
        pin(server.pid, core)
        with _middleware(folder, core, identity, tokens) as service:
            yield [(server.pid, validations), service]


@contextmanager
def _middleware(
    folder: Path, core: int, identity: Identity, tokens: list[str]
) -> Iterator[tuple[int, Asked]]:
    address, name, who = free_address(), "keystonemiddleware", identity.glance
    env = environment(
        AUTH_URL=identity.url, USER=who.name, PASSWORD=who.password,
        DOMAIN=identity.domain, PROJECT=who.project,
    )  # fmt: skip
    with Program(name, folder) as server:
        server.launch(gunicorn(address, "keystone_service"), lambda: accepts(address), env=env)
        for token, wanted in ((tokens[0], 200), ("none", 401)):
            told = curl("-H", f"X-Auth-Token: {token}", f"http://{text_of(address)}/")
            if told.status != wanted:
                raise UnableError(f"{name} answered {told}")
        lines = (
            f"GET / HTTP/1.1\r\nHost: {text_of(address)}\r\nX-Auth-Token: {one}\r\n\r\n"
            for one in tokens
        )
        asked = Asked(name, WHAT, text_of(address), [one.encode() for one in lines])
        yield worker_of(server, core), asked
