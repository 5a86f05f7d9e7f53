"""A client's program that runs a whole scenario, and asks for what only its surroundings can do.

Each line that it prints is JSON: `{"name": …, "told": …}` is an outcome, `{"ask": …, …}` a question
that is answered with a line of JSON on its standard input (a person at a browser, time that goes
by). The outcomes are what tests look at, each by its name.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Timer
from typing import Any

from tests.e2e.stack import environment

SECONDS = 180
Answers = Mapping[str, Callable[..., Any]]


def outcomes(
    *command: str | Path, home: Path, env: Mapping[str, str], told: object, answers: Answers
) -> dict[str, Any]:
    """Run a program to its end, answer what it asks, and return its outcomes by name."""
    found: dict[str, Any] = {}
    with (home / "stderr").open("w+", encoding="utf-8") as complaints:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            env=environment(HOME=str(home), **env),
            cwd=home,
        )
        limit = Timer(SECONDS, process.kill)
        limit.start()
        try:
            with process:
                _talk(process, told, answers, found)
        finally:
            limit.cancel()
            process.kill()
        complaints.seek(0)
        assert process.returncode == 0, (command, process.returncode, complaints.read(), found)
    return found


def _talk(
    process: subprocess.Popen[str], told: object, answers: Answers, found: dict[str, Any]
) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{json.dumps(told)}\n")
    process.stdin.flush()
    for line in process.stdout:
        said = json.loads(line)
        if "ask" in said:
            answer = answers[said.pop("ask")](**said)
            process.stdin.write(f"{json.dumps(answer)}\n")
            process.stdin.flush()
        else:
            assert said["name"] not in found, said
            found[said["name"]] = said["told"]
