"""The job lets go of what is past the time that the configuration gives it."""

from __future__ import annotations

import secrets
from contextlib import closing
from types import SimpleNamespace
from typing import cast

import pytest
from tests.world import World, raw_rows

from latchgate.jobs import JOBS, USAGE
from latchgate.jobs.job import Work
from latchgate.jobs.retention import RETENTION, SIGN_INS
from latchgate.signin import session
from latchgate.store.retention import Retention
from latchgate.store.sqlite import connect


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.close()


def test_it_is_one_of_the_jobs_and_keeps_what_is_configured(world):
    assert RETENTION in USAGE
    assert SIGN_INS in JOBS
    with closing(connect(world.usage_database, durable=False)) as connection:
        for at in (0, 86_399, 86_400):
            row = (at, "t", "p", "c", "", "/a", "s", "allowed", 1)
            connection.execute("INSERT INTO use_minute VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    kept = Retention(minutes=1, hours=1, days=1, sources=1)
    work = SimpleNamespace(
        store=world.store,
        usage_database=world.usage_database,
        retention=kept,
        clock=lambda: 2 * 86_400.0,
    )

    def begin(now):
        return session.begin(
            world.store,
            user_id=world.owner.user_id,
            tenant_id=world.owner.tenant_id,
            methods=("pwd",),
            address=None,
            agent="",
            now=now,
            entropy=secrets.token_bytes,
        )[0]

    recent, _ = begin(86_400.0), begin(0.0)
    for job in (RETENTION, SIGN_INS):
        job.run(cast("Work", work))
    assert raw_rows(world.database, "SELECT id FROM session") == [(recent.id,)]
    assert raw_rows(world.usage_database, "SELECT at FROM use_minute") == [(86_400,)]
