"""Hosts as network namespaces on one bridge, and the cuts between them.

Rule of this file: all of it lies in namespaces whose names carry the id of the process that made
them. Nothing is set outside of them, no address in them leads out, and whoever comes next takes
away what a run that crashed left.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.machine import UnableError, program

SUBNET = "10.87.0"  # of the namespaces alone
_PREFIX = "lgf"
_NAMED = re.compile(rf"^{_PREFIX}(\d+)-[a-z0-9]+")
_NETNS = Path("/run/netns")
_END_SECONDS = 30.0


class Network:
    """One bridge and its hosts; `close` ends every process in them and takes all of it away."""

    def __init__(self) -> None:
        require_root()
        sweep()
        self._run = f"{_PREFIX}{os.getpid()}"
        self._bridge = f"{self._run}-bridge"
        self.hosts: dict[str, str] = {}  # the address of each, by name
        atexit.register(self.close)
        _ip("netns", "add", self._bridge)
        _ip("-n", self._bridge, "link", "add", "br0", "type", "bridge")
        _ip("-n", self._bridge, "link", "set", "br0", "up")

    def add(self, name: str) -> str:
        """Add a host and return its address."""
        number = len(self.hosts) + 1
        address, namespace, port = f"{SUBNET}.{number}", self.namespace(name), f"port{number}"
        _ip("netns", "add", namespace)
        _ip("-n", self._bridge, "link", "add", port, "type", "veth", "peer", "name", "eth0",
            "netns", namespace)  # fmt: skip
        _ip("-n", self._bridge, "link", "set", port, "master", "br0", "up")
        _ip("-n", namespace, "link", "set", "lo", "up")
        _ip("-n", namespace, "address", "add", f"{address}/24", "dev", "eth0")
        _ip("-n", namespace, "link", "set", "eth0", "up")
        self.hosts[name] = address
        return address

    def namespace(self, name: str) -> str:
        """Return what a host's namespace is called."""
        return f"{self._run}-{name}"

    def processes(self, name: str) -> list[int]:
        """Return the ids of what runs on a host."""
        return _inhabitants(self.namespace(name))

    def signal(self, name: str, number: signal.Signals) -> None:
        """Signal everything that runs on a host."""
        for process_id in self.processes(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process_id, number)

    def kill(self, name: str) -> None:
        """End everything on a host at once, as a power cut would; returns when all is gone."""
        _end(self.namespace(name))

    def cut(self, one: Iterable[str], other: Iterable[str]) -> None:
        """Let nothing pass between two sets of hosts, either way; nobody is told.

        What arrives is dropped, on both sides: a sender sees no error, only silence.
        """
        left, right = list(one), list(other)
        for here, there in ((left, right), (right, left)):
            rules = [f"-A INPUT -s {self.hosts[name]} -j DROP" for name in there]
            for name in here:
                self._filter(name, rules)

    def heal(self) -> None:
        """Take away every cut."""
        for name in self.hosts:
            self._filter(name, ["-F INPUT"])

    def close(self) -> None:
        """End every process in the namespaces, and remove them with their bridge."""
        atexit.unregister(self.close)
        for name in (*self.hosts, "bridge"):
            _remove(self.namespace(name))
        self.hosts.clear()

    def _filter(self, name: str, rules: list[str]) -> None:
        subprocess.run(
            ["ip", "netns", "exec", self.namespace(name), "iptables-restore", "--noflush", "-w"],
            input="\n".join(["*filter", *rules, "COMMIT", ""]),
            text=True,
            check=True,
            timeout=_END_SECONDS,
        )


def require_root() -> None:
    """Raise UnableError, saying what is missing, where namespaces can't be made."""
    if os.geteuid() != 0:
        msg = "root is needed: network namespaces, tmpfs and other users' processes are made"
        raise UnableError(msg)
    for name, package in (("ip", "iproute2"), ("iptables-restore", "iptables")):
        try:
            program(name)
        except UnableError:
            msg = f"{name} is not installed; on Debian: apt-get install {package}"
            raise UnableError(msg) from None
    tried = f"{_PREFIX}{os.getpid()}-try"
    made = subprocess.run(
        ["ip", "netns", "add", tried], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        msg = f"this machine makes no network namespaces: {made.stderr.strip()}"
        raise UnableError(msg)
    _ip("netns", "delete", tried)


def sweep() -> None:
    """Take away what runs left whose process is gone: namespaces, processes, mounts, folders."""
    for entry in sorted(_NETNS.glob(f"{_PREFIX}*")) if _NETNS.is_dir() else ():
        named = _NAMED.match(entry.name)
        if named and not alive(int(named[1])):
            _remove(entry.name)


def alive(process_id: int) -> bool:
    """Return whether a process runs this program, of those that may have made something."""
    try:
        told = Path(f"/proc/{process_id}/cmdline").read_bytes()
    except OSError:
        return False
    return b"failover" in told


def inside(namespace: str, *command: str) -> list[str]:
    """Return a command as it runs in a namespace; the process keeps its id through all of it."""
    return [shutil.which("ip") or "ip", "netns", "exec", namespace, *command]


def _remove(namespace: str) -> None:
    if not (_NETNS / namespace).exists():
        return
    _end(namespace)
    _ip("netns", "delete", namespace)


def _end(namespace: str) -> None:
    """End what runs in a namespace, by process id, until nothing does."""
    begun = time.monotonic()
    while found := _inhabitants(namespace):
        for process_id in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGKILL)
        if time.monotonic() - begun > _END_SECONDS:
            msg = f"processes {found} in {namespace} don't end"
            raise TimeoutError(msg)
        time.sleep(0.02)


def _inhabitants(namespace: str) -> list[int]:
    told = subprocess.run(
        ["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False
    )
    return [number for number in map(int, told.stdout.split()) if not _zombie(number)]


def _zombie(process_id: int) -> bool:
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in {"Z", "X"}


def _ip(*arguments: str) -> None:
    subprocess.run(
        ["ip", *arguments], check=True, capture_output=True, text=True, timeout=_END_SECONDS
    )
