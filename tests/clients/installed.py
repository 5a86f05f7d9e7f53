"""The providers' clients as a customer installs them, each run as a program of its own.

`make test` installs them: the Python ones into .venv-clients, axios below tests/clients/node, the
rest from Debian. One that is missing fails its tests; nothing here is skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.stack import ROOT, environment

FOLDER = ROOT / ".venv-clients" / "bin"
NODE_PROGRAMS = ROOT / "tests" / "clients" / "node"
NODE_MODULES = NODE_PROGRAMS / "node_modules"
PROGRAMS = ROOT / "tests" / "clients" / "programs"
SECONDS = 120


@dataclass(frozen=True)
class Done:
    """How a program ended and what it printed."""

    status: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        """Return what it printed, as JSON."""
        return json.loads(self.stdout)


def run(
    *command: str | Path,
    home: Path,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    status: int | None = 0,
) -> Done:
    """Run a program in a home of its own; unless None, `status` is how it must end."""
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        env=environment(HOME=str(home), **(env or {})),
        cwd=home,
        timeout=SECONDS,
        check=False,
    )
    said = (command, done.returncode, done.stdout, done.stderr)
    assert status is None or done.returncode == status, said
    return Done(done.returncode, done.stdout, done.stderr)


def python(
    program: str,
    *words: str,
    home: Path,
    env: Mapping[str, str] | None = None,
    status: int | None = 0,
) -> Done:
    """Run a program of tests/clients/programs with the Python that the clients are installed in."""
    script = PROGRAMS / f"{program}.py"
    return run(client("python"), script, *words, home=home, env=env, status=status)


def client(name: str) -> Path:
    """Return the path of a command that was installed with the clients."""
    path = FOLDER / name
    assert path.exists(), f"{path} is missing: `make test` installs locks/clients.txt there"
    return path


def go_build(source: str, folder: Path) -> Path:
    """Compile a Go program of the standard library alone, and return it."""
    (folder / "main.go").write_text(source, encoding="utf-8")
    built = folder / "program"
    done = subprocess.run(
        ["go", "build", "-o", str(built), "main.go"],
        capture_output=True,
        text=True,
        # Plain Go: nothing is linked with C, and no module or other toolchain is looked for.
        env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"},
        cwd=folder,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return built
