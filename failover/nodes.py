"""Latchgate's nodes: one `latchgate serve` on a host each, over the same database."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from failover.asking import Address
from failover.database import DATABASE, PORT, ROLE, Member
from failover.hosts import Host, Program
from failover.load import Node as Told

API, CONSOLE, VERIFY = 8420, 8421, 8422
LATCHGATE = (sys.executable, "-m", "latchgate")


def uri(members: Sequence[Member]) -> str:
    """Return where the database is: every member, of which the one that writes is meant."""
    hosts = ",".join(f"{member.host.address}:{PORT}" for member in members)
    return f"postgresql://{ROLE}@{hosts}/{DATABASE}?target_session_attrs=read-write"


@dataclass(slots=True)
class Node:
    """One node and its program."""

    host: Host
    env: Mapping[str, str] = field(default_factory=dict)
    program: Program | None = None

    @property
    def folder(self) -> Path:
        """Where its configuration is."""
        return self.host.folder / "latchgate"

    @property
    def told(self) -> Told:
        """Its name and addresses, for clients."""
        where = self.host.address
        return Told(self.host.name, Address(where, API), Address(where, VERIFY))

    def configure(self, template: Path, database: str, clients: Sequence[Host]) -> None:
        """Write its configuration: as the first node's, with addresses of its own."""
        shutil.copytree(template, self.folder)
        self.use(database, clients)

    def use(self, database: str, clients: Sequence[Host]) -> None:
        """Tell it where the database is, from its next start on."""
        where = self.host.address
        listen = {"api": API, "console": CONSOLE, "verify": VERIFY}
        lines = [
            f"database = {json.dumps(database)}",
            'master_key = "master.key"',
            'policy = ["providers/wayscloud.toml"]',
            "[node]",
            f'name = "{self.host.name}"',
            "[listen]",
            *(f'{name} = "{where}:{port}"' for name, port in listen.items()),
            "[gateways]",
            f"trusted = {json.dumps([host.address for host in clients])}",
        ]
        (self.folder / "latchgate.toml").write_text("\n".join([*lines, ""]))

    def migrate(self, sources: Path) -> None:
        """Bring the database to the schema of another version, while nodes serve."""
        config = str(self.folder / "latchgate.toml")
        told = {"PYTHONPATH": str(sources)}
        self.host.run(*LATCHGATE, "migrate", "--config", config, env=told)

    def upgrade(self, sources: Path) -> None:
        """Be of another version, from its next start on."""
        self.env = {**self.env, "PYTHONPATH": str(sources)}

    def start(self) -> None:
        """Start serving; `ready` says when it answers."""
        config = str(self.folder / "latchgate.toml")
        self.program = self.host.start(
            "serve", *LATCHGATE, "serve", "--config", config, env=self.env
        )

    def stop(self) -> int:
        """End it as an operator would: it finishes what it began."""
        return self.program.end(signal.SIGTERM) if self.program is not None else 0

    def ready(self) -> bool:
        """Whether it says that it is ready."""
        url = f"http://{self.host.address}:{API}/readyz"
        asked = ("curl", "--silent", "--fail", "--max-time", "2", url)
        try:
            self.host.run(*asked)
        except subprocess.SubprocessError:
            return False
        return True
