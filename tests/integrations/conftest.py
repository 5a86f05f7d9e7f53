"""A database, and the applications of `apps.py` under their real servers beside it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.world import World, environment, file_of

ROOT = Path(__file__).parents[2]
SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, its headers as they came."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str:
        (value,) = [value for key, value in self.headers if key.lower() == name.lower()]
        return value


class App:
    """One application under one server."""

    def __init__(
        self, name: str, port: int, process: subprocess.Popen[bytes], unix: Path | None = None
    ) -> None:
        self.name = name
        self.port = port
        self.process = process
        self.unix = unix

    def connect(self) -> socket.socket:
        if self.unix is None:
            return socket.create_connection(("127.0.0.1", self.port), timeout=20)
        wire = socket.socket(socket.AF_UNIX)
        try:
            wire.settimeout(20)
            wire.connect(str(self.unix))
        except OSError:
            wire.close()
            raise
        return wire

    def ask(
        self,
        target: str = "/v1/storage/a",
        *,
        method: str = "GET",
        headers: list[tuple[str, str]] | None = None,
        key: Any = None,
        host: str = "api.example",
        length: int = 0,
    ) -> Answer:
        """Send one request as it is given, its line and headers byte for byte."""
        pairs = [("Host", host), *(headers or [])]
        if key is not None:
            pairs.append(("Authorization", f"Bearer {key.text}"))
        text = "".join(f"{name}: {value}\r\n" for name, value in pairs)
        text += f"Content-Length: {length}\r\nConnection: close\r\n"
        request = f"{method} {target} HTTP/1.1\r\n{text}\r\n"
        with closing(self.connect()) as wire:
            wire.sendall(request.encode("latin-1"))
            answer = http.client.HTTPResponse(wire, method=method)
            answer.begin()
            return Answer(answer.status, answer.getheaders(), answer.read())


COMMANDS: dict[str, tuple[str, ...]] = {
    "asgi": ("uvicorn", "asgi_app"),
    "fastapi": ("uvicorn", "fastapi_app"),
    "fastapi covered": ("uvicorn", "covered_fastapi_app"),
    "django gunicorn": ("gunicorn", "django_wsgi_app"),
    "django uvicorn": ("uvicorn", "django_asgi_app"),
    "flask gunicorn": ("gunicorn", "flask_app"),
    "flask waitress": ("waitress", "flask_app"),
    "flask mounted": ("gunicorn", "mounted_flask_app"),
    "asgi rewritten": ("uvicorn", "rewritten_asgi_app"),
    "asgi unix": ("uvicorn", "asgi_app"),
    "flask unix": ("gunicorn", "flask_app"),
}


def command(name: str, port: int, unix: Path | None) -> list[str]:
    server, app = COMMANDS[name]
    where = f"tests.integrations.apps:{app}"
    if server == "uvicorn":
        options = ["--no-proxy-headers", "--log-level", "warning"]
        options += ["--uds", str(unix)] if unix is not None else ["--port", str(port)]
    elif server == "gunicorn":
        # The verifier is opened before the fork, and asked after it.
        options = ["--preload", "--workers", "2"]
        options += ["--bind", f"unix:{unix}" if unix is not None else f"127.0.0.1:{port}"]
        options += ["--log-level", "warning", "--no-control-socket"]
    else:
        # It clears what a proxy forwards unless told, so that TRUSTED would not be heard.
        options = [f"--listen=127.0.0.1:{port}", "--no-clear-untrusted-proxy-headers"]
    return [sys.executable, "-m", server, *options, where]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("integrations")
    made = World(folder)
    (folder / "latchgate.toml").write_text("", encoding="utf-8")
    yield made
    made.close()


@pytest.fixture(scope="module")
def serve(world: World) -> Iterator[Callable[..., App]]:
    """Serve an application by its name, once for the same words; all end with the module."""
    running: dict[tuple[str, tuple[tuple[str, str], ...]], App] = {}

    def start(name: str, **more: str) -> App:
        known = (name, tuple(sorted(more.items())))
        if known in running:
            return running[known]
        with socket.create_server(("127.0.0.1", 0)) as held:
            port: int = held.getsockname()[1]
        config = str(file_of(world.database).with_name("latchgate.toml"))
        file = f"{len(running)}.sock"
        unix = file_of(world.database).with_name(file) if name.endswith(" unix") else None
        process = subprocess.Popen(
            command(name, port, unix),
            cwd=ROOT,
            env=environment() | {"PYTHONPATH": str(ROOT), "LATCHGATE_CONFIG": config} | more,
            start_new_session=True,
        )
        app = running[known] = App(name, port, process, unix)
        deadline = time.monotonic() + SECONDS
        while True:
            assert process.poll() is None, f"{name} ended with {process.returncode}"
            with suppress(OSError, http.client.HTTPException):
                app.ask("/healthz")
                return app
            assert time.monotonic() < deadline, f"{name} does not answer"
            time.sleep(0.05)

    yield start
    for app in running.values():
        with suppress(ProcessLookupError):  # a test may have ended it
            os.killpg(app.process.pid, signal.SIGTERM)
    for app in running.values():
        try:
            app.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(app.process.pid, signal.SIGKILL)
            app.process.wait(20)
