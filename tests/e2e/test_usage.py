"""What the real server counts survives its end: all of it by SIGTERM, all but 1 s by SIGKILL."""

from __future__ import annotations

import json
import signal
import sys

import pytest
from tests.world import LATCHGATE, Server, raw_rows, until

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
COUNTED = "SELECT COALESCE(SUM(count), 0) FROM {table} WHERE credential_id = '{key}'"
# The server as it is, but that it waits long before it adds counts to their tables.
UNSETTLED = """
from latchgate.store import recorder

recorder.KEY_SECONDS = recorder.SETTLED_SECONDS = 3_600.0
from latchgate.cli import main
main()
"""


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


def waiting(server, key):
    """Return the counts of a key that are still to be added to the tables."""
    found = raw_rows(server.folder / "latchgate-usage.db", "SELECT writer, counts FROM use_pending")
    told = [(writer, *json.loads(text)) for writer, text in found]
    mine = {(writer, name) for writer, _, new, _ in told for name, what in new if key in what}
    return sum(
        number
        for writer, _, _, pairs in told
        for name, number in zip(pairs[::2], pairs[1::2], strict=True)
        if (writer, name) in mine
    )


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


def test_what_a_killed_server_had_not_added_yet_the_next_adds_once(tmp_path):
    server = Server.made(tmp_path / "lg", workers=1)
    server.command = (sys.executable, "-c", UNSETTLED)
    try:
        server.start()
        made = server.create()
        for _ in range(40):
            assert server.allows(made["key"])
        until(lambda: waiting(server, made["id"]) == 40, seconds=30, what="the counts")
        assert counted(server, made["id"]) == {0}
        server.kill()
        server.command, server.workers = LATCHGATE, 2  # which start at once
        server.start()
        until(lambda: counted(server, made["id"]) == {40}, seconds=30, what="what was left")
        assert server.stop() == 0
    finally:
        server.kill()
    assert counted(server, made["id"]) == {40}
    assert waiting(server, made["id"]) == 0
