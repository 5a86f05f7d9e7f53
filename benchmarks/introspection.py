"""Other authorization servers that are asked about tokens in the same run as Latchgate.

Each as its documentation starts it, with one process that answers: npm oidc-provider with records
in memory, django-oauth-toolkit under gunicorn with SQLite. `make rivals` installs both.
"""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import ROOT, UnableError, program
from benchmarks.tokens import CONNECTIONS, Asked, pin
from tests.e2e.stack import Program, accepts, curl, environment, free_address, text_of

WHAT = "introspections"
FOLDER = ROOT / "benchmarks" / "rivals"
PYTHON = ROOT / ".venv-rivals" / "bin"
WANTED = {"oidc-provider": 2.0, "django-oauth-toolkit": 60.0}
# As with Keystone: more would only queue before a thread that answers a few hundred a second.
CONNECTIONS |= {"oidc-provider": 32, "django-oauth-toolkit": 4}


def installed() -> bool:
    """Whether `make rivals` has installed both."""
    return (FOLDER / "node_modules" / "oidc-provider").is_dir() and PYTHON.is_dir()


def require(place: Path) -> None:
    """Raise UnableError unless something was installed there."""
    if not place.exists():
        raise UnableError("not installed: make rivals")


@dataclass(frozen=True, slots=True)
class Issuer:
    """An oidc-provider that runs: its process, where it listens, who may ask, what it issued."""

    process_id: int
    address: str
    proof: str  # the header of a client that may introspect
    tokens: Sequence[str]


@contextmanager
def issuer(folder: Path, tokens: int) -> Iterator[Issuer]:
    """Run oidc-provider with so many tokens that stand for an hour."""
    require(FOLDER / "node_modules" / "oidc-provider")
    address, secret = free_address(), secrets.token_hex(16)
    with Program("oidc-provider", folder) as server:
        server.launch(
            [program("node"), FOLDER / "oidc_provider.mjs", str(address[1]), secret],
            lambda: accepts(address),
            env=environment(NODE_ENV="production"),
        )
        url = f"http://{text_of(address)}/token"
        proof = ("--user", f"api:{secret}")
        told = ("-d", "grant_type=client_credentials", "-d", "scope=storage:read")
        made = [curl(*proof, *told, url).json()["access_token"] for _ in range(tokens)]
        yield Issuer(server.pid, text_of(address), basic("api", secret), made)


@contextmanager
def oidc_provider(folder: Path, core: int, tokens: int) -> Iterator[tuple[int, list[Asked]]]:
    """Run oidc-provider on a core; its process id and what it is asked."""
    with issuer(folder, tokens) as made:
        pin(made.process_id, core)
        path = "/token/introspection"
        asked = _asked("oidc-provider", made.address, path, made.proof, made.tokens)
        _answers(asked)
        yield made.process_id, [asked]


@contextmanager
def django_toolkit(folder: Path, core: int, tokens: int) -> Iterator[tuple[int, list[Asked]]]:
    """Run django-oauth-toolkit on a core; its worker's process id and what it is asked."""
    require(PYTHON)
    address, own = free_address(), secrets.token_urlsafe(24)
    made = [secrets.token_urlsafe(24) for _ in range(tokens)]
    told = environment(DATABASE=str(folder / "db.sqlite3"), SECRET=secrets.token_hex(16))
    folder.mkdir()
    command: list[str | Path] = [PYTHON / "python", FOLDER / "django_toolkit.py", own, *made]
    subprocess.run(command, env=told, check=True, timeout=300, capture_output=True)
    with Program("django-oauth-toolkit", folder) as server:
        server.launch(gunicorn(address, "django_toolkit"), lambda: accepts(address), env=told)
        header = f"Authorization: Bearer {own}"
        asked = _asked("django-oauth-toolkit", text_of(address), "/o/introspect/", header, made)
        _answers(asked)
        yield worker_of(server, core), [asked]


def gunicorn(address: tuple[str, int], module: str) -> list[str | Path]:
    """Return what serves a WSGI application of benchmarks/rivals/ in one process, one thread."""
    one = ["--workers", "1", "--worker-class", "gthread", "--threads", "1"]
    bound = ["--chdir", str(FOLDER), "--bind", text_of(address)]
    return [PYTHON / "gunicorn", *bound, *one, f"{module}:application"]


def worker_of(server: Program, core: int) -> int:
    """Keep gunicorn and its worker on a core, and return the worker's process id."""
    (worker,) = _children(server.pid)
    for process in (server.pid, worker):
        pin(process, core)
    return worker


def _asked(server: str, address: str, path: str, header: str, tokens: Sequence[str]) -> Asked:
    questions = []
    for token in tokens:
        body = f"token={token}"
        lines = [f"POST {path} HTTP/1.1", f"Host: {address}", header]
        lines += ["Content-Type: application/x-www-form-urlencoded"]
        lines += [f"Content-Length: {len(body)}"]
        questions.append("\r\n".join([*lines, "", body]).encode())
    return Asked(server, WHAT, address, questions)


def _answers(asked: Asked) -> None:
    """Ask once, so that the worker is there and tells of a token that stands."""
    head, _, body = asked.questions[0].decode().partition("\r\n\r\n")
    request, _, *headers = head.split("\r\n")
    words = [word for one in headers[:1] for word in ("-H", one)]
    told = curl(*words, "-d", body, f"http://{asked.address}{request.split(' ')[1]}")
    if told.status != 200 or not json.loads(told.body)["active"]:
        raise UnableError(f"{asked.server} answered {told}")


def _children(process: int) -> list[int]:
    told = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    return [int(pid) for pid in told.split()]


def basic(name: str, secret: str) -> str:
    """Return the header that presents a name and a secret."""
    return f"Authorization: Basic {base64.b64encode(f'{name}:{secret}'.encode()).decode()}"
