"""The servers that tests start: reached, apart from each other, and gone afterwards."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from tests.postgres import Postgres
from tests.world import until

from latchgate.store import schema

USER = """
import signal, sys
from pathlib import Path
from tests.postgres import shared

with shared(Path(sys.argv[1])) as server:
    print(server.home, server.pid, flush=True)
    signal.pause()
"""


def answer(uri, statement="SELECT 1"):
    with psycopg.connect(uri) as connection:
        row = connection.execute(statement).fetchone()
        assert row is not None
        return row[0]


def alive(pid):
    """Whether it runs: a container's first process may leave those that ended unburied."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return told.rpartition(")")[2].split()[0] != "Z"


def test_a_database_is_reached_over_tcp_with_its_password_and_over_its_socket(postgres_database):
    assert answer(postgres_database.uri) == 1
    assert answer(postgres_database.socket_uri) == 1
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        answer(postgres_database.uri.replace("latchgate:", "latchgate:x"))


def test_latchgate_owns_its_database_and_may_do_no_more(postgres_database):
    with psycopg.connect(postgres_database.uri) as connection:
        connection.execute("CREATE TABLE mine (n integer)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE ROLE other SUPERUSER")


def test_a_test_starts_with_an_empty_database_which_goes_though_somebody_is_connected(postgres):
    with postgres.database() as first, psycopg.connect(first.uri) as left_open:
        left_open.execute("CREATE TABLE held (n integer)")
        left_open.commit()
    with postgres.database() as second:
        tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        assert answer(second.uri, tables) == 0
    known = {name for (name,) in postgres.execute(sql.SQL("SELECT datname FROM pg_database"))}
    assert not known & {first.name, second.name}


def test_a_database_can_be_a_copy_of_another(postgres):
    with postgres.database() as model:
        with psycopg.connect(model.uri) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        with postgres.database(model.name) as copy:
            assert answer(copy.uri, "SELECT n FROM kept") == 7


def test_what_many_are_copies_of_is_made_once(postgres):
    def fill(database):
        asked.append(database.name)
        with psycopg.connect(database.uri) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")

    asked: list[str] = []
    for _ in range(2):
        with postgres.database(postgres.template("seven", fill)) as copy:
            assert answer(copy.uri, "SELECT n FROM kept") == 7
    assert len(asked) == 1


def test_a_migrated_database_has_the_tables_of_both_parts_and_is_latchgates_own(migrated_postgres):
    owned = "SELECT count(*) FROM pg_tables WHERE tableowner = 'latchgate' AND tablename = ANY(%s)"
    wanted = list({*schema.main.tables, *schema.usage.tables})
    with psycopg.connect(migrated_postgres.uri) as connection:
        assert connection.execute(owned, [wanted]).fetchone() == (len(wanted),)


def test_a_server_of_ones_own_crashes_starts_again_and_leaves_nothing(postgres):
    with Postgres.made(like=postgres) as server, server.database() as database:
        assert (server.port, server.pid) != (postgres.port, postgres.pid)
        with psycopg.connect(database.uri) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        port, pid = server.port, server.pid
        server.stop("immediate")
        with pytest.raises(psycopg.OperationalError):
            answer(database.uri)
        server.start()
        assert answer(database.uri, "SELECT n FROM kept") == 7
        assert server.port == port
        pid = server.pid
    assert not alive(pid)
    assert not server.home.exists()


def test_a_synchronous_standby_takes_over_on_another_timeline(postgres):
    timeline = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
    with (
        Postgres.made(like=postgres) as primary,
        primary.database() as database,
        primary.standby("other") as standby,
    ):
        primary.configure(synchronous_standby_names="other")
        synced = sql.SQL("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'")
        until(lambda: primary.execute(synced) == [(1,)], seconds=30)
        with psycopg.connect(database.uri) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        assert answer(database.uri, timeline) == "00000001"
        # Cut off, not ended: it answers again later, as if nothing had been.
        primary.signal(signal.SIGSTOP)
        standby.promote()
        assert answer(standby.uri(database.name), "SELECT n FROM kept") == 7
        assert answer(standby.uri(database.name), timeline) == "00000002"
        primary.signal(signal.SIGCONT)
        assert answer(database.uri, timeline) == "00000001"
        # Its commits would wait for a standby that is none any more.
        primary.configure(synchronous_standby_names="")


def test_the_shared_server_outlives_each_of_its_users_but_not_the_last(tmp_path):
    def user():
        return subprocess.Popen(
            [sys.executable, "-c", USER, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )

    with user() as first, user() as second:
        assert first.stdout is not None
        assert second.stdout is not None
        told = first.stdout.readline()
        assert second.stdout.readline() == told
        home, pid = told.split()
        first.kill()
        first.wait()
        assert alive(pid)
        second.kill()
        second.wait()
    until(lambda: not alive(pid) and not Path(home).exists(), seconds=30, what="its end")
    assert not (tmp_path / "postgres.json").exists()


def test_a_server_runs_as_who_tests_or_as_its_own_user_for_root(postgres):
    owner = os.geteuid() or pwd.getpwnam("postgres").pw_uid
    assert Path(f"/proc/{postgres.pid}").stat().st_uid == owner
