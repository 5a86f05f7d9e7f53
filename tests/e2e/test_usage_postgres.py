"""Servers whose usage is in PostgreSQL: counted together, and never waited for."""

from __future__ import annotations

import re

import pytest
from tests.lost import away
from tests.world import Server, raw_rows, until

from latchgate import Verifier
from latchgate.core.location import Postgres
from latchgate.core.secret import Secret
from latchgate.store.migrate import migrate

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.fixture(scope="module")
def usage(postgres):
    """Where usage is, over TCP."""
    with postgres.database() as made:
        at = Postgres(Secret(made.uri))
        migrate(at, "usage")
        yield at


@pytest.fixture(scope="module")
def server(tmp_path_factory, usage):
    made = Server.made(tmp_path_factory.mktemp("usage") / "lg", workers=2)
    text = made.config.read_text()
    told, number = re.subn(
        r"(?m)^usage_database = .*$", f'usage_database = "{usage.uri.reveal()}"', text
    )
    assert number == 1
    made.config.write_text(told)
    (made.folder / "latchgate-usage.db").unlink()
    made.start()
    yield made
    made.kill()


def counted(usage, key):
    """Return the counts of a key by minute, hour and day."""
    statement = "SELECT COALESCE(SUM(count), 0) FROM {} WHERE credential_id = '{}'"
    return {
        int(raw_rows(usage, statement.format(table, key))[0][0])
        for table in ("use_minute", "use_hour", "use_day")
    }


def test_what_several_programs_decide_is_counted_and_explained_in_one_place(server, usage):
    made = server.create(scopes=["storage:read"])
    headers = {"Authorization": f"Bearer {made['key']}"}
    with Verifier(server.config) as beside:
        for _ in range(7):
            assert server.allows(made["key"])
            assert beside.decide("GET", "/v1/storage/a", headers, client="192.0.2.9").allowed
        refused = beside.decide("PUT", "/v1/storage/a", headers, client="192.0.2.9")
    until(lambda: counted(usage, made["id"]) == {15}, seconds=30, what="the counts")
    told = server.cli("explain", "--id", refused.decision_id, "--json")
    assert (told.code, "scope_not_granted" in told.out) == (0, True), told.err
    shown = server.call("GET", f"/manage/v1/keys/{made['id']}/usage")
    assert {one["address"] for one in shown.json["sources"]} == {"192.0.2.1", "192.0.2.9"}
    used = server.cli("usage", "show", "--json")
    assert used.code == 0, used.err
    metrics = server.call("GET", "/metrics")
    assert metrics.status == 200, metrics.body


def test_decisions_go_on_while_usage_can_not_be_written_and_all_are_counted(
    server, usage, postgres
):
    made = server.create()
    with away(postgres, usage):
        for _ in range(20):
            assert server.allows(made["key"])
        until(lambda: "a batch of usage was lost" in server.log, seconds=30, what="the log")
        assert server.call("GET", f"/manage/v1/keys/{made['id']}").status in {200, 503}
    until(lambda: counted(usage, made["id"]) == {20}, seconds=60, what="the counts")


def test_a_node_that_is_killed_doubles_nothing_and_no_password_shows(server, usage):
    made = server.create()
    for total in (30, 60):
        for _ in range(30):
            assert server.allows(made["key"])
        wanted = {total}
        until(
            lambda wanted=wanted: counted(usage, made["id"]) == wanted,  # type: ignore[misc]
            seconds=30,
            what="the counts",
        )
        server.kill()
        server.start()
    assert server.stop() == 0
    assert counted(usage, made["id"]) == {60}
    password = usage.uri.reveal().partition("@")[0].rpartition(":")[2]
    assert password not in server.log
