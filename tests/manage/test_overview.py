"""What is shown first is of the own tenant, and of oneself alone where no more may be seen."""

from __future__ import annotations

import secrets

import pytest
import sqlalchemy as sa
from tests.world import FILES, Owner, asking, compiled

from latchgate.core.redact import redactor
from latchgate.core.scope import Scopes
from latchgate.manage import overview
from latchgate.manage.overview import DAY, Ending
from latchgate.signin import session
from latchgate.store import schema
from latchgate.store.recorder import Usage
from latchgate.store.usage import UsageReader

NOW = 1_800_000_000.0  # 2027-01-15 08:00 UTC
OWN = ("own:keys.read",)


@pytest.fixture
def reader(world):
    made = UsageReader(world.usage_database)
    yield made
    made.close()


def acting(world, owner, *scopes):
    """Return somebody who holds scopes, as one who acts."""
    return world.acting(world.key(owner=owner), Scopes.of(scopes))


def mate(world, owner):
    """Return another user of a tenant, in its project."""
    return Owner(owner.tenant_id, owner.project_id, world.user(owner.tenant_id))


def ids(found):
    return [one.id for one in found]


def test_what_ends_soon_is_told_in_order_and_neither_revoked_nor_rotated_ones(world):
    owner = world.somebody("*")
    ends = {
        days: world.key(owner=owner, expires_at=NOW + days * DAY) for days in (20, 3, 29, 31, 10)
    }
    world.revoke(ends[10])
    table = schema.credential
    with world.changing() as change:
        change.execute(
            sa.update(table).where(table.c.id == ends[20].id).values(superseded_by=ends[3].id)
        )
    world.key(owner=world.somebody("*"), expires_at=NOW + DAY)
    caller = acting(world, owner, "manage:keys.read")
    found = overview.ending(world.store, caller, now=NOW, limit=9)
    assert ids(found) == [ends[3].id, ends[29].id]
    assert ids(overview.ending(world.store, caller, now=NOW, limit=1)) == [ends[3].id]
    (rotated,) = overview.rotating(world.store, caller, now=NOW, limit=9)
    assert rotated == Ending(
        id=ends[20].id,
        kind="wayscloud.service_key",
        name="made by a test",
        owner_id=owner.user_id,
        ends_at=NOW + 20 * DAY,
        successor=ends[3].id,
    )
    assert overview.rotating(world.store, caller, now=NOW + 20 * DAY, limit=9) == []


def test_whoever_may_see_their_own_alone_is_told_of_those(world):
    owner = world.somebody("*")
    other = mate(world, owner)
    mine = world.key(owner=owner, expires_at=NOW + DAY)
    theirs = world.key(owner=other, expires_at=NOW + DAY)
    see = lambda *scopes: set(  # noqa: E731 - one line, used thrice
        ids(overview.ending(world.store, acting(world, owner, *scopes), now=NOW, limit=9))
    )
    assert see(*OWN) == {mine.id}
    assert see("own:tokens.read") == set()
    assert see("manage:keys.read") == {mine.id, theirs.id}


def test_somebody_new_has_no_credential_whatever_others_have(world):
    owner = world.somebody("*")
    caller = acting(world, owner, *OWN)
    newcomer = world.acting(world.key(owner=mate(world, owner)), Scopes.of(OWN))
    assert overview.has_credentials(world.store, caller)
    table = schema.credential
    with world.changing() as change:
        change.execute(sa.delete(table).where(table.c.owner_id == newcomer.user_id))
    assert not overview.has_credentials(world.store, newcomer)


def test_requests_are_the_tenants_ones_own_or_everybodys(world, reader):
    owner = world.somebody("*")
    key = world.key(owner=owner, scopes=["storage:read"])
    theirs = world.key(owner=mate(world, owner))
    foreign = world.key(owner=world.somebody("*"))
    recorder = Usage(
        world.usage_database,
        redact=redactor(compiled(FILES, 1).patterns()),
        ticks=lambda: 0.0,
        clock=lambda: NOW,
    )
    clock = [NOW]
    engine = world.engine(clock=lambda: clock[0], on_decision=recorder.note)
    for at, one in ((NOW, key), (NOW - 5 * DAY, key), (NOW, theirs), (NOW - 3_600, foreign)):
        clock[0] = at
        engine.decide(asking(one))
    engine.decide(asking(None))  # proves nothing
    engine.decide(asking(key, method="PUT"))
    clock[0] = NOW - 31 * DAY
    engine.decide(asking(key))
    recorder.flush()
    recorder.close()

    def counted(*scopes):
        caller = acting(world, owner, *scopes)
        found = overview.requests(world.store, reader, caller, now=NOW)
        assert (len(found.hours), len(found.days)) == (24, 30)
        hours, days = found.hours.values(), found.days.values()
        return [sum(map(sum, (one.values() for one in several))) for several in (hours, days)]

    # The refusal an hour ago names the credential: it is of the tenant too.
    assert counted(*OWN) == [2, 3]
    assert counted("manage:usage.read") == [3, 4]
    assert counted("manage:usage.read", "operator:usage.read") == [5, 6]


def test_sign_ins_are_told_the_last_first_and_others_to_who_may_see_the_journal(world):
    owner = world.somebody("*")
    other = mate(world, owner)
    for number, who in enumerate((owner, other, owner, world.somebody("*"))):
        session.begin(
            world.store,
            user_id=who.user_id,
            tenant_id=who.tenant_id,
            methods=("pwd",),
            address=f"192.0.2.{number}",
            agent="",
            now=NOW,
            entropy=secrets.token_bytes,
        )
    auditor = acting(world, owner, "manage:audit.read")
    every = overview.sign_ins(world.store, auditor, own=False, limit=9)
    assert [one.address for one in every] == ["192.0.2.2", "192.0.2.1", "192.0.2.0"]
    assert [one.user_id for one in every] == [owner.user_id, other.user_id, owner.user_id]
    assert every[0].methods == ("pwd",)
    assert every[0].name.startswith("user ")
    mine = overview.sign_ins(world.store, auditor, own=True, limit=9)
    assert [one.address for one in mine] == ["192.0.2.2", "192.0.2.0"]
    nobody = acting(world, owner, *OWN)
    assert overview.sign_ins(world.store, nobody, own=False, limit=9) == mine
    assert len(overview.sign_ins(world.store, auditor, own=False, limit=1)) == 1


@pytest.mark.parametrize(
    ("scopes", "index"),
    [(("manage:keys.read",), "credential_ending"), (OWN, "credential_")],
)
def test_no_question_reads_every_credential(world, scopes, index):
    """Each is answered by an index: a scan would grow with what a tenant has."""
    caller = world.acting(world.admin, Scopes.of(scopes))
    asked: list[tuple[str, tuple[object, ...]]] = []
    engine = world.store._database.reader

    def note(_connection, _cursor, statement, parameters, *_rest):
        asked.append((statement, parameters))

    sa.event.listen(engine, "before_cursor_execute", note)
    overview.ending(world.store, caller, now=NOW, limit=5)
    sa.event.remove(engine, "before_cursor_execute", note)
    (told,) = [one for one in asked if "credential" in one[0]]
    with world.store.reading() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {told[0]}", told[1]).all()
    assert any(index in row[-1] for row in plan), plan
    assert not any(row[-1].startswith("SCAN") for row in plan), plan
