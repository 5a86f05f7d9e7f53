"""What the real server counts survives its end: all of it by SIGTERM, all but 1 s by SIGKILL."""

from __future__ import annotations

import signal

import pytest
from tests.world import Server, raw_rows, until

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
COUNTED = "SELECT COALESCE(SUM(count), 0) FROM {table} WHERE credential_id = '{key}'"


@pytest.fixture
def server(tmp_path):
    made = Server.started(tmp_path / "lg", workers=2)
    yield made
    made.kill()


def counted(server, key):
    """Return the counts of a key by minute, hour and day."""
    return {
        raw_rows(server.folder / "latchgate-usage.db", COUNTED.format(table=table, key=key))[0][0]
        for table in ("use_minute", "use_hour", "use_day")
    }


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_told_to_end_loses_no_count(server, name):
    made = server.create()
    for _ in range(40):
        assert server.allows(made["key"])
    assert server.stop(name) == 0
    assert counted(server, made["id"]) == {40}


def test_a_server_that_is_killed_loses_nothing_that_was_written(server):
    # Written within a second by itself: tests/store/test_recorder.py holds the times to that.
    made = server.create()
    for _ in range(40):
        assert server.allows(made["key"])
    until(lambda: counted(server, made["id"]) == {40}, seconds=30, what="the counts")
    server.kill()
    assert counted(server, made["id"]) == {40}
    server.start()
    assert server.allows(made["key"])  # and it goes on where it was
    server.stop()
    assert counted(server, made["id"]) == {41}
