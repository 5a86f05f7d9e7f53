"""No acknowledged change is lost: not by killing everything, not by a power cut.

Killing alone proves nothing, as the system keeps what was written; so the system calls are read
too: between the request and its answer the log of the database must have reached the disk.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

import pytest
from tests.world import Server, chain_faults, raw_rows, until

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

ROUNDS = 5
# The server as it is, but for its database's synchronous=FULL.
NOT_DURABLE = """
from latchgate.store import sqlite, sqlite_store

def connect(database, *, durable):
    connection = sqlite.connect(database, durable=durable)
    connection.execute("PRAGMA synchronous=OFF")
    return connection

sqlite_store.connect = connect
from latchgate.cli import main
main()
"""


# --- killed in the middle of a burst


class Burst:
    """Clients that create and revoke as fast as they can, and note what was acknowledged."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.created: dict[str, str] = {}
        self.asked_to_revoke: set[str] = set()
        self.revoked: set[str] = set()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._work, args=(seed,)) for seed in range(6)]

    def _work(self, seed: int) -> None:
        order = random.Random(seed)
        mine: list[str] = []
        headers = {
            "Authorization": f"Bearer {self.server.token}",
            "Content-Type": "application/json",
        }
        body = json.dumps({"name": f"client {seed}", "services": ["storage"]})
        host = urlsplit(self.server.addresses["api"]).netloc
        connection = http.client.HTTPConnection(host, timeout=10)
        with contextlib.suppress(OSError, http.client.HTTPException), connection_of(connection):
            while True:
                if mine and order.random() < 0.4:
                    key_id = mine.pop(order.randrange(len(mine)))
                    self.asked_to_revoke.add(key_id)
                    connection.request("DELETE", f"/manage/v1/keys/{key_id}", headers=headers)
                    answer = connection.getresponse()
                    answer.read()
                    assert answer.status == 200
                    self.revoked.add(key_id)
                else:
                    connection.request("POST", "/manage/v1/keys", body=body, headers=headers)
                    answer = connection.getresponse()
                    told = json.loads(answer.read())
                    assert answer.status == 201
                    mine.append(told["id"])
                    with self._lock:
                        self.created[told["id"]] = told["key"]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        for thread in self._threads:
            thread.join(20)


@contextlib.contextmanager
def connection_of(connection):
    try:
        yield
    finally:
        connection.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_acknowledged_before_everything_was_killed_holds_after(tmp_path, workers):
    server = Server.made(tmp_path / "lg", workers=workers)
    pauses = random.Random(workers)
    created: dict[str, str] = {}
    asked_to_revoke: set[str] = set()
    revoked: set[str] = set()
    try:
        for _ in range(ROUNDS):
            server.start()
            burst = Burst(server)
            burst.start()
            until(lambda: len(burst.created) > 5, what="the burst")  # noqa: B023 - waited for here
            time.sleep(pauses.uniform(0.05, 0.6))
            server.kill()
            burst.wait()
            created |= burst.created
            asked_to_revoke |= burst.asked_to_revoke
            revoked |= burst.revoked
        server.start()
        lost = [key_id for key_id, key in created.items()
                if key_id not in asked_to_revoke and not server.allows(key)]  # fmt: skip
        undone = [key_id for key_id in revoked if server.allows(created[key_id])]
    finally:
        server.kill()
    assert (lost, undone) == ([], [])
    assert len(created) > 10 * ROUNDS
    assert len(revoked) > ROUNDS
    database = server.folder / "latchgate.db"
    assert chain_faults(database) == []
    assert raw_rows(database, "PRAGMA integrity_check") == [("ok",)]
    rows = raw_rows(database, "SELECT action, record FROM journal")
    assert {record for action, record in rows if action == "key.create"} >= set(created)
    assert {record for action, record in rows if action == "key.revoke"} >= revoked


def test_a_single_worker_that_is_killed_takes_nothing_acknowledged_along(tmp_path):
    server = Server.started(tmp_path / "lg", workers=2)
    try:
        burst = Burst(server)
        burst.start()
        for _ in range(3):
            time.sleep(0.3)
            os.kill(server.children()[0], signal.SIGKILL)
            until(lambda: len(server.children()) == 2, what="another worker")
        server.kill()
        burst.wait()
        server.start()
        kept = set(burst.created) - burst.asked_to_revoke
        assert [key_id for key_id in kept if not server.allows(burst.created[key_id])] == []
        assert [key_id for key_id in burst.revoked if server.allows(burst.created[key_id])] == []
    finally:
        server.kill()
    assert chain_faults(server.folder / "latchgate.db") == []


# --- on the disk before the answer

CALLS = "read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,pwritev,fdatasync,fsync"
LINE = re.compile(
    r"(?P<pid>\d+) +(?:(?P<call>\w+)\(|<\.\.\. (?P<resumed>\w+) resumed>)(?P<rest>.*)"
)
READS = {"read", "readv", "recvfrom", "recvmsg"}
WRITES = {"write", "writev", "sendto", "sendmsg"}


def events(trace, request, answer):
    """Return, in order, what matters: R request read, W log written, S log synced, A answered.

    A call that another thread interrupts stands in two lines: a read or a sync counts where
    it returned, a write where it began.
    """
    open_calls: dict[str, str] = {}
    out = []
    for text in trace.splitlines():
        found = LINE.match(text)
        if found is None:
            continue
        pid, rest = found["pid"], found["rest"]
        begins = found["call"] is not None
        call = found["call"] or found["resumed"]
        unfinished = rest.endswith("<unfinished ...>")
        whole = rest if begins else open_calls.pop(pid, "") + rest
        if unfinished:
            open_calls[pid] = rest
        log = "latchgate.db-wal>" in whole
        if call in READS and not unfinished and request in whole:
            out.append("R")
        if call in {"pwrite64", "pwritev"} and begins and log:
            out.append("W")
        if call in {"fdatasync", "fsync"} and not unfinished and log and whole.endswith("= 0"):
            out.append("S")
        if call in WRITES and begins and answer in whole:
            out.append("A")
    return "".join(out)


def durable(found):
    """Whether the log was synced after its last write and before each answer."""
    return re.fullmatch(r"[WS]*RW+[WS]*SA[WS]*", found) is not None


def trace_of(server, work, tmp_path):
    """Attach to the server while `work` runs; returns what its calls were."""
    file = tmp_path / "trace"
    command = ["strace", "-f", "-y", "-s", "200", "-e", f"trace={CALLS}", "-o", str(file)]
    with subprocess.Popen(
        [*command, "-p", str(server.pid)], stderr=subprocess.PIPE, text=True
    ) as strace:
        assert strace.stderr is not None
        assert "attached" in strace.stderr.readline()
        try:
            work()
            time.sleep(0.1)
        finally:
            strace.send_signal(signal.SIGINT)
            strace.communicate(timeout=20)
    return file.read_text(errors="replace")


@pytest.fixture
def not_durable(tmp_path):
    made = Server.made(tmp_path / "lg")
    made.command = (sys.executable, "-c", NOT_DURABLE)
    made.start()
    yield made
    made.kill()


def traced(server, tmp_path):
    """Make and revoke a key under observation; returns the events of both."""
    server.create()  # whatever happens at the first change only has happened
    made: list[str] = []
    trace = trace_of(server, lambda: made.append(server.create()["id"]), tmp_path)
    creation = events(trace, "POST /manage/v1/keys ", "HTTP/1.1 201")
    path = f"/manage/v1/keys/{made[0]}"
    trace = trace_of(server, lambda: server.call("DELETE", path), tmp_path)
    revocation = events(trace, f"DELETE {path} ", "HTTP/1.1 200")
    return creation, revocation


def test_a_creation_and_a_revocation_are_on_the_disk_before_they_are_answered(server, tmp_path):
    server.start()
    creation, revocation = traced(server, tmp_path)
    assert durable(creation), creation
    assert durable(revocation), revocation


def test_the_same_check_fails_where_nothing_is_flushed(not_durable, tmp_path):
    # A check that could not fail would prove nothing.
    creation, revocation = traced(not_durable, tmp_path)
    for found in (creation, revocation):
        assert "R" in found
        assert "W" in found
        assert "A" in found
        assert not durable(found)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ("RWSA", True),
        ("RWWWSA", True),
        ("WSRWSAWS", True),
        ("RWA", False),
        ("RWAS", False),
        ("SRWA", False),
        ("RSWA", False),
        ("RWSWA", False),
        ("RSA", False),
        ("RA", False),
        ("RWS", False),
        ("WSA", False),
        ("", False),
    ],
)
def test_only_a_sync_between_write_and_answer_counts(found, wanted):
    assert durable(found) is wanted


def test_a_trace_is_read_whatever_thread_interrupts_which():
    trace = """\
11 read(9<socket:[1]>, "POST /manage/v1/keys HTTP/1.1\\r\\n"..., 65536) = 300
12 pwrite64(7</x/latchgate-usage.db-wal>, "x"..., 24, 0) = 24
12 pwrite64(6</x/latchgate.db-wal>, "x"..., 24, 0 <unfinished ...>
11 read(9<socket:[1]>, 0x7f, 65536) = -1 EAGAIN (Resource temporarily unavailable)
12 <... pwrite64 resumed>) = 24
12 fdatasync(6</x/latchgate.db-wal> <unfinished ...>
11 write(3<anon_inode:[eventfd]>, "x", 8) = 8
13 fdatasync(8</x/latchgate-usage.db-wal>) = 0
12 <... fdatasync resumed>) = 0
11 write(9<socket:[1]>, "HTTP/1.1 201 Created\\r\\n"..., 900 <unfinished ...>
11 <... write resumed>) = 900
"""
    assert events(trace, "POST /manage/v1/keys ", "HTTP/1.1 201") == "RWSA"
