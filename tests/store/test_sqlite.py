"""The settings that durability rests on, and faults of the driver."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from latchgate.store import sqlite
from latchgate.store.errors import StoreError
from latchgate.store.sqlite import connect, driver, faults

WITHOUT_WHEEL = """
import sys
sys.modules["pysqlite3"] = None
from latchgate.store import sqlite
import sqlite3
assert sqlite.driver is sqlite3
assert sqlite.MANY_PROCESSES is (sqlite3.sqlite_version_info >= (3, 51, 3))
"""


def pragma(connection, name):
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


@pytest.fixture
def connected(tmp_path):
    opened = []

    def open_one(name="a.db", **how):
        opened.append(connect(tmp_path / name, **how))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()


def test_the_main_database_flushes_its_log_on_every_commit(connected):
    connection = connected(durable=True)
    assert pragma(connection, "journal_mode") == "wal"
    assert pragma(connection, "synchronous") == 2


def test_the_usage_database_leaves_flushing_to_checkpoints(connected):
    connection = connected(durable=False)
    assert pragma(connection, "journal_mode") == "wal"
    assert pragma(connection, "synchronous") == 1


@pytest.mark.parametrize("durable", [True, False])
def test_references_are_checked_and_locks_are_waited_for(connected, durable):
    connection = connected(durable=durable)
    assert pragma(connection, "foreign_keys") == 1
    assert pragma(connection, "busy_timeout") == 5_000


def test_connections_begin_no_transaction_of_their_own(connected):
    connection = connected(durable=True)
    connection.execute("CREATE TABLE t (x)")
    connection.execute("INSERT INTO t VALUES (1)")
    assert connection.in_transaction is False
    assert connected(durable=True).execute("SELECT x FROM t").fetchall() == [(1,)]


def test_a_read_only_connection_reads_and_cannot_write(connected):
    connected(durable=True).execute("CREATE TABLE t (x)")
    reader = connected(durable=True, read_only=True)
    assert reader.execute("SELECT x FROM t").fetchall() == []
    with pytest.raises(driver.OperationalError, match="readonly"):
        reader.execute("INSERT INTO t VALUES (1)")


@pytest.mark.parametrize("name", ["a b.db", "a?mode=rw.db", "a#b.db", "100%25.db", "ü.db"])
def test_any_file_name_is_taken_as_it_is(connected, tmp_path, name):
    connected(name, durable=True).execute("CREATE TABLE t (x)")
    assert connected(name, durable=True, read_only=True).execute("SELECT * FROM t").fetchall() == []
    assert (tmp_path / name).exists()


def test_a_file_that_is_no_database_is_a_fault_of_the_store(connected, tmp_path):
    (tmp_path / "a.db").write_bytes(b"nothing of SQLite's" * 100)
    with pytest.raises(StoreError, match=r"a\.db"):
        connected(durable=True)


def test_a_folder_is_a_fault_of_the_store(connected, tmp_path):
    (tmp_path / "a.db").mkdir()
    with pytest.raises(StoreError, match=r"a\.db"):
        connected(durable=True)


def test_reading_never_makes_a_database(connected, tmp_path):
    with pytest.raises(StoreError, match=r"a\.db"):
        connected(durable=True, read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_the_drivers_errors_become_faults_of_the_store(connected):
    with pytest.raises(StoreError, match="no such table"), faults():
        connected(durable=True).execute("SELECT * FROM no_such")


def test_other_errors_pass_as_they_are():
    with pytest.raises(KeyError), faults():
        raise KeyError


def test_several_processes_are_allowed_only_without_the_wal_reset_fault():
    assert (driver.sqlite_version_info >= (3, 51, 3)) is sqlite.MANY_PROCESSES


def test_without_the_wheel_the_interpreters_own_library_is_used():
    subprocess.run([sys.executable, "-c", WITHOUT_WHEEL], check=True)


def test_many_may_open_a_file_at_once_that_has_no_log_yet(tmp_path):
    at_once = threading.Barrier(6)

    def opened(path):
        at_once.wait()
        connection = connect(path, durable=False)
        try:
            return pragma(connection, "journal_mode")
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        for number in range(60):
            path = tmp_path / f"{number}.db"
            path.touch()
            assert [*threads.map(opened, [path] * 6)] == ["wal"] * 6


def test_a_file_that_another_keeps_locked_is_told_of(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_MS", 50)
    path = tmp_path / "a.db"
    with driver.connect(path, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(
            StoreError, match=r"cannot open the database .*a\.db: database is locked"
        ):
            connect(path, durable=False)
        other.execute("ROLLBACK")
    other.close()
