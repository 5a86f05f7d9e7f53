"""The database: PostgreSQL under Patroni, which keeps what it knows in etcd, all on hosts.

Every acknowledged commit is on two members (`synchronous_mode_strict`), so that a primary can be
lost; there is a third, because a strict cluster of two stops writing when either is lost.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import UnableError
from failover.hosts import Host, Program
from failover.network import SUBNET

DATABASE = ROLE = "latchgate"
PORT = 5432
# The least that Patroni 3.0 takes: a member that is lost is replaced when its lease ends.
TTL_SECONDS, LOOP_SECONDS, RETRY_SECONDS = 20, 1, 3
_REST_PORT = 8008
_START_SECONDS = 120.0
_POLL_SECONDS = 0.25  # each look starts programs on several hosts
_ASK_SECONDS = 5.0


@dataclass(slots=True)
class Etcd:
    """etcd on hosts of its own."""

    hosts: Sequence[Host]

    def start(self) -> None:
        """Start every member of a new cluster."""
        members = ",".join(f"{host.name}=http://{host.address}:2380" for host in self.hosts)
        for host in self.hosts:
            host.start(
                "etcd", "etcd", "--name", host.name, "--data-dir", str(host.folder / "data"),
                "--listen-peer-urls", f"http://{host.address}:2380",
                "--initial-advertise-peer-urls", f"http://{host.address}:2380",
                "--listen-client-urls", f"http://{host.address}:2379",
                "--advertise-client-urls", f"http://{host.address}:2379",
                "--initial-cluster", members, "--initial-cluster-state", "new",
                "--heartbeat-interval", "250", "--election-timeout", "2500",
                "--logger", "zap", "--log-level", "warn",
            )  # fmt: skip


class Member:
    """One PostgreSQL server and the Patroni that looks after it."""

    def __init__(self, host: Host, etcd: Etcd, *, data: Path | None = None) -> None:
        self.host = host
        self.data = (data or host.folder) / "data"
        self.data.parent.mkdir(exist_ok=True)
        shutil.chown(self.data.parent, "postgres", "postgres")
        shutil.chown(host.folder, "postgres", "postgres")
        self._patroni: Program | None = None
        self._settings = host.folder / "patroni.json"  # JSON is YAML
        self._settings.write_text(json.dumps(_settings(host, etcd, self.data)))
        self._settings.chmod(0o644)

    def start(self) -> None:
        """Start Patroni, which makes, joins or starts the server."""
        self._patroni = self.host.start(
            "patroni", "patroni", str(self._settings), user="postgres",
            env={"HOME": str(self.host.folder)},
        )  # fmt: skip

    def revive(self) -> None:
        """Start Patroni again where it gave up by itself, as a machine's init does for a service.

        It does when it starts while etcd does not answer.
        """
        if self._patroni is not None and self._patroni.ended:
            self.start()

    def abandon(self) -> None:
        """Kill Patroni alone: its server goes on as what it is, whatever the others decide."""
        if self._patroni is not None:
            self._patroni.end(signal.SIGKILL)

    def state(self) -> dict[str, Any]:
        """Return what Patroni says of its server; nothing when it doesn't answer."""
        url = f"http://{self.host.address}:{_REST_PORT}/patroni"
        asked = ("curl", "--silent", "--max-time", str(_ASK_SECONDS), url)
        try:
            told: dict[str, Any] = json.loads(self.host.run(*asked).stdout)
        except (subprocess.SubprocessError, json.JSONDecodeError):
            return {}
        return told

    def sql(self, statement: str, *, database: str = "postgres") -> str:
        """Run a statement on this server, from its own host, as its superuser; what it prints."""
        where = f"host={self.host.address} port={PORT} user=postgres dbname={database}"
        where += f" connect_timeout={_ASK_SECONDS:.0f}"
        told = self.host.run(
            "psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement, where
        )
        return told.stdout.strip()


@dataclass(slots=True)
class Database:
    """All members, and who of them is what."""

    members: Sequence[Member]

    def start(self) -> None:
        """Make the cluster: the first member is the primary, all others follow it."""
        self.members[0].start()
        until(lambda: self.primary() is self.members[0], what="the first primary")
        for member in self.members[1:]:
            member.start()
        self.settle()
        self.members[0].sql(f"CREATE ROLE {ROLE} LOGIN")
        self.members[0].sql(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")

    def settle(self) -> None:
        """Wait until there is one primary, the others follow it, and one of them synchronously."""
        until(self._whole, what="a whole cluster")

    def primary(self) -> Member | None:
        """Return the member that Patroni says leads, of those that answer; the newest timeline."""
        leading = [
            (state["timeline"], number)
            for number, member in enumerate(self.members)
            if (state := member.state()).get("role") in {"master", "primary"}
            and state.get("state") == "running"
            and "timeline" in state
        ]
        return self.members[max(leading)[1]] if leading else None

    def synchronous(self) -> Member | None:
        """Return the member without which no commit is acknowledged."""
        for member in self.members:
            if member.state().get("sync_standby"):
                return member
        return None

    def _whole(self) -> bool:
        for member in self.members:
            member.revive()
        states = [member.state() for member in self.members]
        leading = [one for one in states if one.get("role") in {"master", "primary"}]
        if len(leading) != 1 or any(one.get("state") != "running" for one in states):
            return False
        following = leading[0].get("replication", [])
        modes = {one["sync_state"] for one in following if one["state"] == "streaming"}
        same = len({one.get("timeline") for one in states}) == 1
        return same and len(following) == len(states) - 1 and "sync" in modes


def until(condition: Callable[[], object], *, what: str, seconds: float = _START_SECONDS) -> None:
    """Wait until a condition holds; TimeoutError, naming it, when it does not in time."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > seconds:
            msg = f"{what} did not come within {seconds:.0f} s"
            raise TimeoutError(msg)
        time.sleep(_POLL_SECONDS)


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs, the newest; UnableError when there is none."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])
    )
    if not found:
        msg = "PostgreSQL is not installed; on Debian: apt-get install postgresql"
        raise UnableError(msg)
    return found[-1].parent


def _settings(host: Host, etcd: Etcd, data: Path) -> dict[str, Any]:
    """Return Patroni's settings; the network is closed, so nobody in it needs a password."""
    trusted = [f"host all all {SUBNET}.0/24 trust", f"host replication all {SUBNET}.0/24 trust"]
    trusted += ["local all all trust"]
    return {
        "scope": "latchgate",
        "name": host.name,
        "restapi": {
            "listen": f"{host.address}:{_REST_PORT}",
            "connect_address": f"{host.address}:{_REST_PORT}",
        },
        "etcd3": {"hosts": [f"{one.address}:2379" for one in etcd.hosts]},
        "bootstrap": {
            "dcs": {
                "ttl": TTL_SECONDS,
                "loop_wait": LOOP_SECONDS,
                "retry_timeout": RETRY_SECONDS,
                "synchronous_mode": True,
                "synchronous_mode_strict": True,
                "primary_start_timeout": 0,
                "postgresql": {
                    "use_pg_rewind": True,
                    "use_slots": True,
                    "parameters": {
                        "max_connections": 200,
                        "min_wal_size": "2MB",
                        "max_wal_size": "96MB",
                        "wal_sender_timeout": "5s",
                        "wal_receiver_timeout": "5s",
                    },
                },
            },
            # Small segments, of which few are kept: a full disk is noticed within a moment.
            "initdb": [
                {"encoding": "UTF8"},
                {"locale": "C.UTF-8"},
                {"wal-segsize": "1"},
                "data-checksums",
            ],
        },
        "postgresql": {
            "listen": f"{host.address}:{PORT}",
            "connect_address": f"{host.address}:{PORT}",
            "data_dir": str(data),
            "bin_dir": str(binaries()),
            "pg_hba": trusted,
            # A member whose history can't be taken back, as where its disk is full meanwhile, is
            # copied anew.
            "remove_data_directory_on_rewind_failure": True,
            "remove_data_directory_on_diverged_timelines": True,
            "authentication": {
                "superuser": {"username": "postgres"},
                "replication": {"username": "replicator"},
                "rewind": {"username": "postgres"},
            },
            "parameters": {
                "unix_socket_directories": str(host.folder),
                "shared_buffers": "32MB",
                "logging_collector": "off",
            },
        },
    }


def dropped(member: Member) -> None:
    """Remove a member's data, so that it is copied anew when it starts."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(member.data)
