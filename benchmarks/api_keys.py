"""Libraries that keep API keys of their own, asked about them in the same run as Latchgate.

Each as its documentation starts it for production, with one process that answers and SQLite:
djangorestframework-api-key under gunicorn, better-auth behind Node's own server. `make rivals`
installs both.
"""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.introspection import FOLDER, PYTHON, gunicorn, require, worker_of
from benchmarks.machine import UnableError, program
from benchmarks.tokens import CONNECTIONS, Asked, pin
from tests.e2e.stack import Program, accepts, curl, environment, free_address, text_of

WHAT = "decisions"
CONNECTIONS |= {"better-auth": 32, "djangorestframework-api-key": 4}


@contextmanager
def better_auth(folder: Path, core: int, keys: int) -> Iterator[list[tuple[int, Asked]]]:
    """Run better-auth with so many keys on a core; its process id and what it is asked."""
    require(FOLDER / "node_modules" / "better-auth")
    address, name = free_address(), "better-auth"
    folder.mkdir()
    told = environment(NODE_ENV="production", SECRET=secrets.token_urlsafe(32))
    command: list[str | Path] = [program("node"), FOLDER / "better_auth.mjs", folder / "keys.db"]
    made = _made([*command, "make", str(keys)], told)
    with Program(name, folder) as server:
        server.launch([*command, str(address[1])], lambda: accepts(address), env=told)
        asked = _asked(name, text_of(address), [f"X-Api-Key: {one}" for one in made])
        pin(server.pid, core)
        yield [(server.pid, asked)]


@contextmanager
def django_api_key(folder: Path, core: int, keys: int) -> Iterator[list[tuple[int, Asked]]]:
    """Run djangorestframework-api-key with so many keys; its worker's id and what it is asked."""
    require(PYTHON)
    address, name = free_address(), "djangorestframework-api-key"
    folder.mkdir()
    told = environment(DATABASE=str(folder / "keys.db"), SECRET=secrets.token_hex(16))
    made = _made([PYTHON / "python", FOLDER / "django_api_key.py", str(keys)], told)
    with Program(name, folder) as server:
        server.launch(gunicorn(address, "django_api_key"), lambda: accepts(address), env=told)
        asked = _asked(name, text_of(address), [f"Authorization: Api-Key {one}" for one in made])
        yield [(worker_of(server, core), asked)]


def _made(command: Sequence[str | Path], env: Mapping[str, str]) -> list[str]:
    """Return the keys that a program made."""
    done = subprocess.run(command, env=env, capture_output=True, check=False, timeout=300)
    if done.returncode:
        raise UnableError(done.stderr.decode()[-1000:])
    keys: list[str] = json.loads(done.stdout)
    return keys


def _asked(server: str, address: str, headers: Sequence[str]) -> Asked:
    """Return its questions; UnableError when one key doesn't stand, or a wrong one does."""
    url = f"http://{address}/asked"
    for header, wanted in ((headers[0], True), (f"{headers[0]}x", False)):
        told = curl("-H", header, url)
        if (told.status == 200) is not wanted:
            raise UnableError(f"{server} answered {told}")
    lines = (f"GET /asked HTTP/1.1\r\nHost: {address}\r\n{one}\r\n\r\n" for one in headers)
    return Asked(server, WHAT, address, [one.encode() for one in lines])
