"""The PgBouncer that tests start: in transaction mode, and gone afterwards."""

from __future__ import annotations

import psycopg
import pytest
from tests.pgbouncer import PgBouncer


def test_a_database_is_reached_through_it(pgbouncer, postgres_database):
    with psycopg.connect(pgbouncer.uri(postgres_database.name)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_clients_share_connections_between_transactions(postgres, postgres_database):
    with PgBouncer(postgres, size=1) as bouncer:
        uri = bouncer.uri(postgres_database.name)
        with psycopg.connect(uri) as first, psycopg.connect(uri) as second:
            one = first.execute("SELECT pg_backend_pid()").fetchone()
            first.commit()
            two = second.execute("SELECT pg_backend_pid()").fetchone()
            assert one == two
        bouncer.stop()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(uri)
        bouncer.start()
        with psycopg.connect(uri) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not bouncer.home.exists()


def test_what_is_not_for_transaction_mode_is_refused(pgbouncer, postgres_database):
    uri = pgbouncer.uri(postgres_database.name)
    with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter"):
        psycopg.connect(uri, options="-c lock_timeout=1s")
