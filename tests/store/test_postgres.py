"""A commit on PostgreSQL whose wait for its standby was given up: the server calls it a success."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from psycopg import sql
from tests.postgres import Postgres
from tests.world import until

from latchgate.core.location import Postgres as At
from latchgate.core.secret import Secret
from latchgate.store.errors import OutcomeUnknownError
from latchgate.store.postgres import BEGIN, COMMIT, connect

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
WAITING = sql.SQL(
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
)


@pytest.fixture(scope="module")
def alone(postgres):
    """A server, and a database of it, whose standby is away."""
    with Postgres.made(like=postgres) as server, server.database() as database:
        server.execute(sql.SQL("CREATE TABLE kept (n int)"), database.name)
        server.execute(sql.SQL("GRANT ALL ON kept TO PUBLIC"), database.name)
        server.configure(synchronous_standby_names="away")
        yield server, database
        server.configure(synchronous_standby_names="")


@pytest.mark.parametrize("told_least", ["notice", "error"])
def test_a_commit_that_was_not_replicated_is_no_success_whatever_the_role_is_told_of(
    alone, told_least
):
    server, database = alone
    connection = connect(At(Secret(database.uri)))
    connection.execute(f"SET client_min_messages = {told_least}")
    connection.execute(BEGIN)
    connection.execute("INSERT INTO kept VALUES (1)")
    giving_up = threading.Thread(
        target=until, args=[lambda: server.execute(WAITING)], kwargs={"seconds": 30}
    )
    giving_up.start()
    connection.execute(COMMIT)  # returns as if all were well
    giving_up.join()
    with pytest.raises(OutcomeUnknownError, match="gave up waiting for its standby"):
        connection.confirm()
    assert connection.closed


def test_it_is_known_by_what_warns_not_by_words_of_the_servers_language(alone):
    _, database = alone
    connection = connect(At(Secret(database.uri)))

    words = "storniere Warten auf synchrone Replikation wegen Benutzeraufforderung"
    warned: Any = SimpleNamespace(message_primary=words, source_function="SyncRepWaitForLSN")
    connection.heed(warned)
    with pytest.raises(OutcomeUnknownError):
        connection.confirm()
    another = connect(At(Secret(database.uri)))
    another.execute("DO $$ BEGIN RAISE WARNING 'about synchronous replication'; END $$")
    another.confirm()
    another.close()
