"""The whole of it: three nodes over a PostgreSQL cluster, and clients, each on a host of its own.

Rule of this file: it says what there is. What goes wrong with it is in `scenarios.py`.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from benchmarks.machine import ROOT, UnableError, program
from failover.database import Database, Etcd, Member, until
from failover.hosts import Host, Program
from failover.load import Spec
from failover.network import Network, alive, require_root
from failover.nodes import LATCHGATE, Node, uri
from failover.pooler import Pooler
from failover.records import Event, Record, read

NODES = MEMBERS = KEEPERS = 3
_PREFIX = "latchgate-failover-"
_DISK = "size=512m"  # of one member: little enough to be filled, enough for what a run writes
_PACKAGES = {
    "cc": "gcc libc6-dev",
    "curl": "curl",
    "etcd": "etcd-server",
    "patroni": "patroni",
    "pgbouncer": "pgbouncer",
    "psql": "postgresql-client",
}
_LOAD_END_SECONDS = 90.0
_AFTERMATH_SECONDS = 300.0


class Rig:
    """One cluster; `close` ends all of it and leaves nothing."""

    def __init__(self) -> None:
        require()
        _sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        self.folder.chmod(0o755)  # PostgreSQL has a user of its own
        self.network = Network()
        atexit.register(self.close)
        self._mounts: list[Path] = []
        self.keepers = [self._host(f"etcd{number}") for number in range(1, KEEPERS + 1)]
        etcd = Etcd(self.keepers)
        hosts = [self._host(f"pg{number}") for number in range(1, MEMBERS + 1)]
        members = [Member(host, etcd, data=self._disk(host.name)) for host in hosts]
        self.database = Database(members)
        self.clients = self._host("clients")
        self._clock = _clock(self.folder)
        self.nodes = [Node(self._host(f"node{number}")) for number in range(1, NODES + 1)]
        self.poolers = [Pooler(node.host) for node in self.nodes]
        self._etcd, self._token = etcd, ""

    def start(self) -> None:
        """Start everything, and wait until it serves."""
        self._etcd.start()
        self.database.start()
        first = self.folder / "first"
        made = self.nodes[0].host.run(
            *LATCHGATE, "init", "--config", str(first / "latchgate.toml"),
            "--provider", "wayscloud", "--database", self.uri, "--json",
        )  # fmt: skip
        self._token = json.loads(made.stdout)["token"]
        for node in self.nodes:
            node.env = self._stepped(node)
            node.configure(first, self.uri, [self.clients])
            node.start()
        self.settle()

    @property
    def uri(self) -> str:
        """Where nodes find the database, whoever is the primary."""
        return uri(self.database.members)

    def settle(self) -> float:
        """Wait until the database is whole and every node is ready; how many seconds that took."""
        begun = time.monotonic()
        self.database.settle()
        until(lambda: all(node.ready() for node in self.nodes), what="a node that is ready")
        return time.monotonic() - begun

    def step_clock(self, node: Node, seconds: float) -> None:
        """Set a node's wall clock so many seconds off what it is; 0 sets it right again."""
        file = node.host.folder / "clock"
        file.touch()
        with file.open("r+b", buffering=0) as step:  # never truncated: its node has it mapped
            step.write(struct.pack("d", seconds))

    def fill_disk(self, member: Member) -> Path:
        """Leave no byte free on a member's disk; returns the file to remove."""
        ballast = member.data.parent / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(bytes(65_536)):
                pass
        return ballast

    @contextlib.contextmanager
    def load(self, seed: int) -> Iterator[Load]:
        """Run the clients within the block; `Load.records` are there after it."""
        told, records = self.folder / f"spec-{seed}.json", self.folder / f"records-{seed}"
        spec = Spec([node.told for node in self.nodes], self._token, seed)
        told.write_bytes(msgspec.json.encode(spec))
        running = Load(self.clients, told, records)
        try:
            yield running
        finally:
            running.end()

    def close(self) -> None:
        """End every process, and remove namespaces, mounts and files."""
        atexit.unregister(self.close)
        self.network.close()
        for mount in self._mounts:
            _unmount(mount)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _host(self, name: str) -> Host:
        return Host(self.network, name, self.folder)

    def _disk(self, name: str) -> Path:
        """Mount a small disk of its own for a member."""
        disk = self.folder / f"{name}-disk"
        disk.mkdir()
        mounting = ["mount", "-t", "tmpfs", "-o", _DISK, "tmpfs", str(disk)]
        subprocess.run(mounting, check=True, capture_output=True)
        self._mounts.append(disk)
        return disk

    def _stepped(self, node: Node) -> dict[str, str]:
        """Return what lets a node's wall clock be set while it runs."""
        self.step_clock(node, 0.0)
        step = node.host.folder / "clock"
        return {"LD_PRELOAD": str(self._clock), "CLOCK_STEP_FILE": str(step)}


class Load:
    """The clients of one scenario, while they ask and after."""

    def __init__(self, host: Host, spec: Path, file: Path) -> None:
        self._host, self._spec, self._file = host, spec, file
        self._events: list[Event] = []
        self._program: Program = host.start(
            "load", *_module("failover.load"), str(spec), str(file), env=_paths(), held=True
        )

    def note(self, what: str) -> None:
        """Record something that was just done to the cluster."""
        self._events.append(Event(time.monotonic(), what))

    def wait(self, seconds: float) -> None:
        """Let the clients go on for so long; RuntimeError when they have ended by themselves."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if self._program.ended:
                msg = f"the clients ended: {self._program.log.read_text()[-2_000:]}"
                raise RuntimeError(msg)
            time.sleep(min(0.1, max(0.0, ends - time.monotonic())))

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Let the clients go on until something holds, and record when it did."""
        until(condition, what=what)
        self.note(what)

    def end(self) -> None:
        """Stop the clients and wait for their last answers."""
        if not self._program.ended:
            self.note("clients stop")
        self._program.release(_LOAD_END_SECONDS)

    def records(self) -> list[Record]:
        """Ask the whole cluster about every key; return all that was recorded."""
        self._host.run(
            *_module("failover.aftermath"), str(self._spec), str(self._file), env=_paths(),
            seconds=_AFTERMATH_SECONDS,
        )  # fmt: skip
        return [*read(self._file), *self._events]


def require() -> None:
    """Raise UnableError, saying what is missing, where this can't run."""
    require_root()
    for name, package in _PACKAGES.items():
        try:
            program(name)
        except UnableError:
            msg = f"{name} is not installed; on Debian: apt-get install {package}"
            raise UnableError(msg) from None


def _module(name: str) -> tuple[str, ...]:
    return (LATCHGATE[0], "-m", name)


def _paths() -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT)}


def _clock(folder: Path) -> Path:
    """Build what steps a program's wall clock."""
    built = folder / "clock.so"
    source = Path(__file__).with_name("clock.c")
    building = ["cc", "-shared", "-fPIC", "-O2", "-o", str(built), str(source)]
    subprocess.run(building, check=True, capture_output=True)
    return built


def _sweep() -> None:
    """Remove what runs left whose process is gone: what runs in its namespaces goes with them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not alive(int(owner)):
            for disk in folder.glob("*-disk"):
                _unmount(disk)
            shutil.rmtree(folder, ignore_errors=True)


def _unmount(disk: Path) -> None:
    if disk.is_mount():
        subprocess.run(["umount", "--lazy", str(disk)], check=True, capture_output=True)
