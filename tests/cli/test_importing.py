"""`latchgate import` as a person runs it: beside a running server, and killed in the middle."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess

import pytest
from tests.world import (
    LATCHGATE,
    Server,
    chain_faults,
    environment,
    latchgate,
    raw_rows,
    until,
)

from latchgate.serve.importing import BATCH

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
COUNT = BATCH + 5_000
IMPORTED = "SELECT COUNT(*) FROM credential WHERE kind = 'wayscloud.service_key'"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server.started(tmp_path_factory.mktemp("import") / "latchgate")
    yield made
    made.kill()


def line(key_id: str, **more) -> dict[str, object]:
    secret = f"wayscloud_storage_{key_id}_{secrets.token_hex(16)}"
    return {"secret": secret, "owner": "admin", "services": ["storage"], **more}


def jsonl(path, lines):
    path.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
    return str(path)


def run(server, file, *options, stdin=b""):
    told = ("--format", "jsonl", "--kind", "wayscloud.service_key", *options)
    return server.cli("import", file, *told, "--config", str(server.config), stdin=stdin)


def test_a_running_server_takes_what_was_imported_and_the_report_names_what_was_not(
    server, tmp_path
):
    good, bad = line("live1"), line("live2", scopes=["storage:fly"])
    file = jsonl(tmp_path / "keys", [good, bad])
    assert not server.allows(good["secret"])
    dry = run(server, file, "--dry-run", "--json")
    assert (dry.code, dry.json["imported"], dry.json["failed"]) == (1, 1, 1)
    assert not server.allows(good["secret"])
    report = tmp_path / "report"
    done = run(server, file, "--report", str(report))
    assert done.code == 1
    (failure,) = [json.loads(text) for text in report.read_text().splitlines()]
    assert failure["line"] == 2
    assert "storage:fly" in failure["problem"]
    until(lambda: server.allows(good["secret"]), seconds=30, what="the imported key")
    for secret in (good["secret"], bad["secret"]):
        assert secret not in done.out + done.err + report.read_text() + server.log
    again = run(server, "-", "--json", stdin=(tmp_path / "keys").read_bytes().splitlines()[0])
    assert (again.code, again.json["imported"], again.json["skipped"]) == (0, 0, 1)
    ((actor,),) = raw_rows(
        server.folder / "latchgate.db",
        "SELECT DISTINCT actor FROM journal WHERE action = 'credential.import'",
    )
    assert actor.startswith("local:")


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (b"", ()),
        (b"\xff\xfe", ()),
        (b"{}", ("--tenant", "nobody")),
        (b"{}", ("--map", "nothing")),
    ],
)
def test_what_can_not_be_read_at_all_ends_with_2(server, tmp_path, content, options):
    file = tmp_path / "keys"
    file.write_bytes(content)
    done = run(server, str(file), *options)
    assert done.code == 2
    assert done.err.startswith("latchgate: ")


def test_an_import_killed_in_the_middle_is_run_again_with_nothing_lost_or_doubled(tmp_path):
    server = Server.made(tmp_path / "latchgate")
    database = server.folder / "latchgate.db"
    file = jsonl(tmp_path / "keys", (line(f"k{at}") for at in range(COUNT)))
    words = ("import", file, "--format", "jsonl", "--kind", "wayscloud.service_key")
    command = [*LATCHGATE, *words, "--config", str(server.config)]
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE)
    until(
        lambda: raw_rows(database, IMPORTED)[0][0] > 0 or process.poll() is not None,
        seconds=60,
        what="the first of the keys",
    )
    process.send_signal(signal.SIGKILL)
    process.communicate()
    there = raw_rows(database, IMPORTED)[0][0]
    assert there in {BATCH, COUNT}
    assert not chain_faults(database)
    done = latchgate(*words, "--config", str(server.config), "--json")
    assert done.code == 0, done.err
    assert (done.json["imported"], done.json["skipped"]) == (COUNT - there, there)
    assert raw_rows(database, IMPORTED)[0][0] == COUNT
    assert not chain_faults(database)
