"""Programs on hosts: started in a host's namespace, as a user of their own, ended by their id."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from failover.network import Network, inside

_END_SECONDS = 30.0


@dataclass(slots=True)
class Program:
    """One program that was started on a host; what it says is in its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        return self.process.poll() is not None

    def send(self, number: signal.Signals) -> None:
        """Signal it alone, not what it started."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Signal it and wait for its end; the exit code."""
        self.send(number)
        return self.process.wait(_END_SECONDS)

    def release(self, seconds: float) -> int:
        """End its standard input and wait for its end; the exit code."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        return self.process.wait(seconds)


class Host:
    """One host: its name, its address, a folder for what its programs say."""

    def __init__(self, network: Network, name: str, folder: Path) -> None:
        self.name, self.address = name, network.add(name)
        self.folder = folder / name
        self.folder.mkdir()
        self._network = network

    def start(
        self,
        name: str,
        *command: str,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        held: bool = False,
    ) -> Program:
        """Start a program; its output goes to NAME.log in the host's folder.

        One that is `held` runs until its standard input ends: see `release`.
        """
        log = self.folder / f"{name}.log"
        with log.open("ab") as said:
            process = subprocess.Popen(
                self._command(command, user),
                stdin=subprocess.PIPE if held else subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=_environment(env),
                cwd=self.folder,
                start_new_session=True,
            )
        return Program(name, process, log)

    def run(
        self, *command: str, env: Mapping[str, str] | None = None, seconds: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; CalledProcessError or TimeoutExpired when it fails."""
        return subprocess.run(
            self._command(command, None),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=_environment(env),
            cwd=self.folder,
            check=True,
            timeout=seconds,
        )

    def kill(self) -> None:
        """End everything on it at once, as a power cut would."""
        self._network.kill(self.name)

    def suspend(self) -> None:
        """Stop everything on it where it is."""
        self._network.signal(self.name, signal.SIGSTOP)

    def resume(self) -> None:
        """Let everything on it go on."""
        self._network.signal(self.name, signal.SIGCONT)

    def _command(self, command: tuple[str, ...], user: str | None) -> list[str]:
        who = [f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        # Ends with this process, even where that is killed; what it starts by itself does not,
        # but is found in the namespace.
        return inside(
            self._network.namespace(self.name), "setpriv", "--pdeathsig=KILL", *who, *command
        )


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", **(more or {})}
