"""One worker: three doors over one engine, prompt when idle, and 503 when the store fails."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.world import LATCHGATE, Server, environment, http_request, until

from latchgate.store.sqlite import driver

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


def execute(server, *statements):
    connection = driver.connect(str(server.folder / "latchgate.db"))
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_all_three_addresses_answer(server):
    server.start()
    for name in ("api", "console", "verify"):
        answer = http_request("GET", server.addresses[name] + "/healthz")
        assert (answer.status, answer.json["status"]) == (200, "ok")


def test_each_address_serves_its_own_and_nothing_of_the_others(server):
    server.start()
    assert http_request("GET", server.addresses["console"] + "/manage/v1/keys").status == 404
    assert http_request("GET", server.addresses["api"] + "/nginx").status == 404
    assert http_request("POST", server.addresses["api"] + "/", body=b"{}").status in {404, 405}
    assert http_request("GET", server.addresses["verify"] + "/manage/v1/keys").status == 404


def test_an_idle_worker_acknowledges_within_a_moment(server):
    server.start()
    time.sleep(0.3)
    made = server.create()
    times = []
    for _ in range(5):
        receipt = server.call("DELETE", f"/manage/v1/keys/{made['id']}").json["receipt"]
        times.append(receipt["elapsed_ms"])
    assert min(times) < 100


def test_a_server_at_rest_takes_90_mib_at_most(server, monkeypatch):
    """What it needs on some days only is loaded on those: it took 107 MiB with these."""
    command = (sys.executable, "-X", "importtime", "-m", "latchgate")
    monkeypatch.setattr(server, "command", command)
    server.start()
    made = server.create()
    assert server.allows(made["key"])
    loaded = set(re.findall(r"\| +([a-z_0-9.]+)$", server.log, re.MULTILINE))
    assert "sqlalchemy" in loaded
    assert not loaded & {"alembic", "fido2.server", "httpx2", "segno", "zxcvbn", "rich.console"}
    time.sleep(1)  # jobs, too, have had their first turn
    status = Path(f"/proc/{server.pid}/status").read_text()
    (resident,) = re.findall(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert int(resident) < 90 << 10


def test_the_interpreter_is_tuned_once_a_worker_is_ready(server, monkeypatch):
    """docs/decisions/0030: what exists then is frozen; thresholds and turns of threads are ours."""
    program = (
        "import gc, signal, sys; tell = lambda *_: print(gc.get_threshold(), gc.get_freeze_count(),"
        " sys.getswitchinterval(), file=sys.stderr, flush=True);"
        " signal.signal(signal.SIGUSR2, tell);"
        " from latchgate.cli import main; main()"
    )
    monkeypatch.setattr(server, "command", (sys.executable, "-c", program))
    server.start()
    os.kill(server.pid, signal.SIGUSR2)
    until(lambda: ")" in server.log, what="what the server told")
    told = re.findall(r"^\((.*)\) (\d+) (.*)$", server.log, re.MULTILINE)[0]
    threshold, frozen, turn = told
    assert threshold == "2000, 10, 50"
    assert int(frozen) > 50_000
    assert float(turn) == 0.0005


def test_a_server_goes_on_when_the_shell_that_started_it_ends(tmp_path):
    # `latchgate serve &` at the end of a login, or under a wrapper that exits.
    server = Server.made(tmp_path / "lg")
    script = '"$@" >"$OUT" 2>/dev/null & echo $!; until grep -q "}" "$OUT"; do sleep 0.1; done'
    out = tmp_path / "out.json"
    done = subprocess.run(
        ["sh", "-c", script, "sh", *LATCHGATE, "serve", "--config", str(server.config), "--json"],
        env=environment(OUT=str(out)),
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
    )
    process = int(done.stdout)
    try:
        addresses = json.loads(out.read_text())
        time.sleep(0.5)
        assert http_request("GET", addresses["api"] + "/healthz").status == 200
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def test_a_store_that_fails_refuses_everywhere_and_never_lets_through(server):
    server.start()
    made, other = server.create(), server.create()
    assert server.allows(made["key"])
    execute(server, "ALTER TABLE credential RENAME TO away")
    for _ in range(5):
        assert server.verdict(other["key"])["status"] == 503
    answer = server.call("GET", "/manage/v1/keys")
    assert (answer.status, answer.code) == (503, "service_unavailable")
    execute(server, "ALTER TABLE away RENAME TO credential")
    until(lambda: server.allows(other["key"]), seconds=5, what="the recovery")
    assert server.call("GET", "/manage/v1/keys").status == 200


def test_readiness_tells_when_no_policy_is_published(server):
    server.start()
    execute(server, "DELETE FROM policy_version")
    server.stop()
    server.start()
    answer = http_request("GET", server.addresses["api"] + "/readyz")
    assert (answer.status, answer.code) == (503, "service_unavailable")
    assert http_request("GET", server.addresses["api"] + "/healthz").status == 200


def test_a_change_that_cannot_be_written_is_a_503_and_never_said_to_have_happened(server):
    server.start()
    connection = driver.connect(str(server.folder / "latchgate.db"), isolation_level=None)
    made = server.create()
    connection.execute("BEGIN IMMEDIATE")
    try:
        for answer in (
            server.call("DELETE", f"/manage/v1/keys/{made['id']}"),
            server.call("POST", "/manage/v1/keys", {"name": "n", "services": ["storage"]}),
        ):
            assert (answer.status, answer.code) == (503, "service_unavailable")
    finally:
        connection.execute("ROLLBACK")
        connection.close()
    assert server.allows(made["key"])
    assert server.call("DELETE", f"/manage/v1/keys/{made['id']}").status == 200


def test_no_secret_reaches_the_log(server):
    server.start()
    made = server.create()
    execute(server, "ALTER TABLE credential RENAME TO away")
    for path in (f"/manage/v1/keys/{made['key']}", f"/manage/v1/keys?after={made['key']}"):
        server.call("GET", path, headers={"X-API-Key": made["key"]})
    server.verdict(made["key"])
    until(lambda: "the store failed" in server.log, what="the log entry")
    for secret in (made["key"], server.token):
        assert secret not in server.log
        assert secret.rpartition("_")[2] not in server.log
    for text in server.log.splitlines():
        json.loads(text)
