"""A real `latchgate edge` for tests, and what each kind of credential presents to it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import msgspec
from tests.world import LATCHGATE, START_SECONDS, Answer, environment, http_request, until

WAIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Question:
    """One request as a gateway would tell it."""

    target: str
    headers: Mapping[str, str]
    method: str = "GET"
    client: str = "127.0.0.1"

    @property
    def told(self) -> dict[str, Any]:
        """What is sent of it."""
        return {
            "method": self.method,
            "target": self.target,
            "host": "api.example",
            "headers": dict(self.headers),
            "client": self.client,
            "tls": True,
        }


def decided(address: str, questions: Iterable[Question]) -> list[dict[str, Any]]:
    """Ask a verify address about requests, all at once; returns its answers, their ids left out."""
    body = msgspec.json.encode({"requests": [one.told for one in questions]})
    answer = http_request("POST", f"{address}/", body=body)
    assert answer.status == 200, answer.body
    told = answer.json if isinstance(answer.json, list) else answer.json["decisions"]
    return [{name: one[name] for name in one if name != "decision"} for one in told]


@dataclass(slots=True)
class EdgeProcess:
    """`latchgate edge` in a process of its own, on a port that the system chose."""

    folder: Path
    upstream: str
    token: str
    process: subprocess.Popen[bytes] | None = None
    addresses: dict[str, str] = field(default_factory=dict)

    @property
    def token_file(self) -> Path:
        """Where it reads its token."""
        return self.folder / "token"

    @property
    def log(self) -> str:
        """What it wrote to standard error."""
        return (self.folder / "edge.log").read_text(encoding="utf-8")

    @property
    def verify(self) -> str:
        """Where gateways ask it."""
        return self.addresses["verify"]

    def start(self, *options: str) -> Self:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.token_file.write_text(f"{self.token}\n", encoding="utf-8")
        said = self.folder / "edge.json"
        arguments = ["edge", "--upstream", self.upstream, "--token-file", str(self.token_file)]
        arguments += ["--listen", "127.0.0.1:0", "--json", *options]
        with said.open("wb") as out, (self.folder / "edge.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*LATCHGATE, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env=environment(),
                cwd=self.folder,
            )
        process = self.process
        until(
            lambda: said.read_bytes().endswith(b"}\n") or process.poll() is not None,
            seconds=START_SECONDS,
            what="the edge's start",
        )
        assert process.poll() is None, self.log
        self.addresses = msgspec.json.decode(said.read_bytes())
        return self

    def decide(self, question: Question) -> dict[str, Any]:
        """Ask it about one request."""
        (answer,) = decided(self.verify, [question])
        return answer

    def get(self, path: str) -> Answer:
        """Ask its listener for something else."""
        return http_request("GET", self.verify + path)

    def until_status(self, question: Question, status: int) -> None:
        """Wait until a request is answered with a status; fails with what it was."""
        begun = time.monotonic()
        while (told := self.decide(question))["status"] != status:
            assert time.monotonic() - begun < WAIT_SECONDS, (told, self.log[-2000:])
            time.sleep(0.05)

    def stop(self) -> int | None:
        """End it; returns its exit code, None when it did not run."""
        process, self.process = self.process, None
        if process is None:
            return None
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(20)
        process.kill()
        process.wait()
        return None
