"""Several workers behind one address: kept alive, ended together, and no start that hangs."""

from __future__ import annotations

import gc
import os
import re
import signal
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.world import LATCHGATE, Server, environment, free_port, http_request, until

from latchgate.config import Address, load
from latchgate.serve.supervisor import ServeError, serve
from latchgate.store import sqlite

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.fixture
def pair(tmp_path):
    made = Server.started(tmp_path / "lg", workers=2)
    yield made
    made.kill()


def alive(process):
    try:
        told = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return told.rpartition(")")[2].split()[0] != "Z"


def verifiers(server):
    made = server.create(scopes=[])
    receipt = server.call("DELETE", f"/manage/v1/keys/{made['id']}").json["receipt"]
    return {one["process"]: one["state"] for one in receipt["verifiers"]}


# --- workers


def test_every_worker_serves_when_the_addresses_are_told(pair):
    assert len(pair.children()) == 2
    assert verifiers(pair) == dict.fromkeys(pair.children(), "acknowledged")


def test_one_worker_is_the_process_itself(server):
    server.start()
    assert server.children() == []
    assert verifiers(server) == {server.pid: "acknowledged"}


def test_a_worker_that_died_is_replaced_and_the_other_goes_on(pair):
    made = pair.create()
    before = pair.children()
    os.kill(before[0], signal.SIGKILL)
    for _ in range(20):
        assert pair.allows(made["key"])
        time.sleep(0.02)
    until(lambda: len(pair.children()) == 2 and before[0] not in pair.children())
    until(lambda: len(verifiers(pair)) == 2, what="the new worker")
    assert set(verifiers(pair)) == set(pair.children())
    assert f"worker {before[0]} ended (-9); starting another" in pair.log
    assert pair.allows(made["key"])


def test_a_dead_worker_holds_up_no_receipt(pair):
    os.kill(pair.children()[0], signal.SIGKILL)
    made = pair.create()
    answer = pair.call("DELETE", f"/manage/v1/keys/{made['id']}")
    assert answer.status == 200
    assert {one["state"] for one in answer.json["receipt"]["verifiers"]} == {"acknowledged"}


def test_every_worker_refuses_what_was_revoked_while_one_was_being_replaced(pair):
    made = pair.create()
    assert pair.allows(made["key"])
    os.kill(pair.children()[0], signal.SIGKILL)
    pair.call("DELETE", f"/manage/v1/keys/{made['id']}")
    until(lambda: len(verifiers(pair)) == 2, what="the new worker")
    assert not any(pair.allows(made["key"]) for _ in range(40))


# --- ending


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_ends_all_of_it_well(tmp_path, name, workers):
    server = Server.started(tmp_path / "lg", workers=workers)
    children = server.children()
    assert server.stop(name) == 0
    assert not any(alive(child) for child in children)
    assert server.log == ""


def test_a_signal_right_after_the_start_ends_it_too(tmp_path):
    # Before any worker is ready: whoever restarts a service does this.
    for pause in (0.0, 0.05, 0.2):
        folder = tmp_path / str(pause)
        Server.made(folder)
        command = ["serve", "--config", str(folder / "latchgate.toml"), "--workers", "2"]
        process = subprocess.Popen(
            [*LATCHGATE, *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment(),
            start_new_session=True,
        )
        try:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            until(lambda: len(children.read_text().split()) == 2, what="the workers")  # noqa: B023
            time.sleep(pause)
            process.send_signal(signal.SIGTERM)
            process.wait(15)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        assert process.returncode in {0, -signal.SIGTERM}


def test_a_signal_while_a_worker_is_being_replaced_ends_it_too(pair):
    os.kill(pair.children()[0], signal.SIGKILL)
    until(lambda: "starting another" in pair.log, what="the replacement")
    assert pair.stop() == 0


def test_a_worker_killed_before_it_is_ready_does_not_hang_the_start(tmp_path):
    folder = tmp_path / "lg"
    Server.made(folder)
    command = ["serve", "--config", str(folder / "latchgate.toml"), "--workers", "2", "--json"]
    process = subprocess.Popen(
        [*LATCHGATE, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    )
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        until(lambda: len(children.read_text().split()) == 2, what="the workers")
        os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
        # Either another takes its place and the addresses are told, or the start has failed.
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        until(
            lambda: process.poll() is not None or process.stdout.read(),  # type: ignore[union-attr]
            seconds=15,
            what="an end of the start",
        )
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_workers_end_when_their_supervisor_was_killed(pair):
    children = pair.children()
    os.kill(pair.pid, signal.SIGKILL)
    until(lambda: not any(alive(child) for child in children), what="the end of the workers")


def test_a_request_under_way_is_finished_before_the_end(server):
    server.start()
    body = b'{"name": "late", "services": ["storage"]}'
    head = (
        f"POST /manage/v1/keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    host, _, port = server.addresses["api"].removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(head.encode() + body[:5])
        time.sleep(0.2)
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        client.sendall(body[5:])
        answer = b""
        while chunk := client.recv(65_536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 201 Created\r\n")
    assert server.process.wait(15) == 0


def test_a_new_server_takes_the_same_addresses_at_once(server):
    more = [text for flag in ("--listen", "--verify-listen")
            for text in (flag, f"127.0.0.1:{free_port()}")]  # fmt: skip
    server.start(*more)
    before = dict(server.addresses)
    assert server.stop() == 0
    server.start(*more)
    assert server.addresses["api"] == before["api"]
    assert http_request("GET", before["api"] + "/readyz").status == 200


def test_as_many_files_may_be_open_as_the_system_allows(server, monkeypatch):
    monkeypatch.setattr(server, "command", ("prlimit", "--nofile=200:900", *LATCHGATE))
    server.start()
    limits = Path(f"/proc/{server.pid}/limits").read_text()
    assert re.search(r"^Max open files +900 +900 ", limits, re.MULTILINE)


def test_the_same_number_of_files_is_open_after_many_requests(server):
    server.start()
    made = server.create()

    def files_open():
        return len(list(Path(f"/proc/{server.pid}/fd").iterdir()))

    for _ in range(20):
        server.allows(made["key"])
        server.call("GET", "/manage/v1/keys")
    until(lambda: files_open() < 60)
    before = files_open()
    for _ in range(100):
        server.allows(made["key"])
        server.call("GET", "/manage/v1/keys")
    # The jobs may have opened their lock and a connection meanwhile; 200 requests leave nothing.
    until(lambda: files_open() <= before + 10, what="closed connections")


# --- refusals to start, in this process


def never(_config):
    pytest.fail("the start was announced")


def refused(server, *, workers=1, **changes):
    with pytest.raises(ServeError) as told:
        serve(replace(load(server.config), **changes), workers=workers, announce=never)
    return str(told.value)


def test_an_old_sqlite_serves_with_one_worker_only(server, monkeypatch):
    monkeypatch.setattr(sqlite, "MANY_PROCESSES", False)
    told = refused(server, workers=2)
    assert "can corrupt a database" in told
    assert "one worker" in told


def test_a_missing_database_is_told(server):
    (server.folder / "latchgate.db").unlink()
    assert "latchgate.db does not exist; run latchgate init" in refused(server)


@pytest.fixture
def mask():
    """Keep the mask of this process, which a start sets for good."""
    before = os.umask(0)
    os.umask(before)
    yield
    os.umask(before)


@pytest.mark.usefixtures("mask")
def test_a_start_that_fails_frees_what_it_had_bound(server):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            free = probe.getsockname()[1]
        told = refused(
            server,
            api=Address("127.0.0.1", free, None),
            console=Address("127.0.0.1", port, None),
        )
        assert f"can't listen on 127.0.0.1:{port}: Address already in use" in told
        with socket.socket() as again:
            again.bind(("127.0.0.1", free))
        gc.collect()  # a socket that was left open says so here
