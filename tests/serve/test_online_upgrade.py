"""A PostgreSQL database migrated by a newer program while servers of this one work with it."""

from __future__ import annotations

import threading

import psycopg
import pytest
from tests.later import versions
from tests.world import Server, latchgate, until

from latchgate.config import load
from latchgate.core.location import Postgres
from latchgate.core.secret import Secret
from latchgate.serve import local
from latchgate.serve import upgrade as upgrades
from latchgate.serve.upgrade import UpgradeError, upgrade
from latchgate.store import migrate as migrations
from latchgate.store.schema_window import SCHEMA_HEAD

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
ANYWHERE = "127.0.0.1:0"


@pytest.fixture
def node(postgres_database, tmp_path):
    """A node that serves over PostgreSQL."""
    folder = tmp_path / "lg"
    made = local.initialize(
        folder / "latchgate.toml",
        chosen=["wayscloud"],
        api=ANYWHERE,
        console=ANYWHERE,
        verify=ANYWHERE,
        at=Postgres(Secret(postgres_database.socket_uri)),
    )
    server = Server(folder, made.first.token.reveal(), {})
    server.start()
    yield server
    server.kill()


@pytest.fixture
def other(node):
    """One more node over the same database, not started."""
    made = Server(node.folder, node.token, {})
    yield made
    made.kill()


@pytest.fixture
def newer(tmp_path, monkeypatch):
    """Makes this process's `migrate` that of a program with one more migration, then with two."""
    more = versions(tmp_path)
    monkeypatch.setattr(migrations, "VERSIONS", (*migrations.VERSIONS, more))
    monkeypatch.setattr(upgrades, "SCHEMA_HEAD", "9001")
    kept = (more / "m9002.py").rename(tmp_path / "m9002.py")

    def second():
        kept.rename(more / "m9002.py")
        monkeypatch.setattr(upgrades, "SCHEMA_HEAD", "9002")

    return second


class Load:
    """Somebody who makes, uses and revokes keys without a pause, and tells what went wrong."""

    def __init__(self, server):
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.rounds = 0
        self.faults = []

    def __enter__(self):
        self._thread.start()
        until(lambda: self.rounds or self.faults, seconds=60)
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(60)

    def more(self):
        """Wait until a round was begun and ended after now."""
        now = self.rounds
        until(lambda: self.rounds >= now + 2 or self.faults, seconds=60)

    def _run(self):
        while not self._stop.is_set() and not self.faults:
            try:
                made = self._server.create()
                assert self._server.allows(made["key"])
                gone = self._server.call("DELETE", f"/manage/v1/keys/{made['id']}")
                assert gone.status == 200, gone.body
                assert not self._server.allows(made["key"])
            except Exception as error:  # noqa: BLE001 - told by the test
                self.faults.append(error)
            self.rounds += 1


def rows(database, statement):
    with psycopg.connect(database.socket_uri) as connection:
        return connection.execute(statement).fetchall()


def refuses(server, key):
    """Whether a server says that it can't decide."""
    try:
        told = server.verdict(key)
    except AssertionError:
        return True
    return told["status"] == 503


def test_nodes_of_both_programs_work_while_it_is_migrated_and_after(
    node, other, newer, postgres_database
):
    config = load(node.config)
    with Load(node) as load_:
        done = upgrade(config, who="me", backup=True)
        assert (done.was, done.now, done.backups) == (SCHEMA_HEAD, "9001", ())
        load_.more()
    assert load_.faults == []
    columns = "SELECT 1 FROM information_schema.columns WHERE column_name = 'nickname'"
    assert rows(postgres_database, columns) == [(1,)]

    # One more of the program before still joins.
    other.start()
    receipt = other.call("DELETE", f"/manage/v1/keys/{node.create()['id']}").json["receipt"]
    states = {one["process"]: one["state"] for one in receipt["verifiers"]}
    assert states == {node.pid: "acknowledged", other.pid: "acknowledged"}
    other.stop()

    newer()
    with pytest.raises(UpgradeError, match=rf"process {node.pid}, .*--force.* Nothing was") as told:
        upgrade(config, who="me", backup=True)
    assert "schema 9002 is for programs that know 9002 and later" in str(told.value)
    asked = "SELECT version_num FROM alembic_version"
    assert rows(postgres_database, asked) == [("9001",)]
    made = node.create()
    assert node.allows(made["key"])

    upgrade(config, who="me", backup=True, force=True)
    assert rows(postgres_database, asked) == [("9002",)]
    until(lambda: refuses(node, made["key"]), seconds=60)
    refused = latchgate("serve", "--config", str(node.config))
    assert refused.code == 1
    assert "a newer latchgate wrote it" in refused.err
