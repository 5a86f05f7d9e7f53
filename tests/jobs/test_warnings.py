"""Warnings: each once, the nearest only, none lost; and who is disabled, and never by mistake."""

from __future__ import annotations

import dataclasses
import sqlite3
from types import SimpleNamespace

import msgspec
import pytest
import sqlalchemy as sa
from tests.world import FILES, compiled

from latchgate.core.event import Event
from latchgate.core.model import Noun
from latchgate.jobs import warnings
from latchgate.jobs.job import ACTOR
from latchgate.jobs.warnings import Warnings
from latchgate.manage import lifetimes
from latchgate.manage.lifetimes import DAY, LifetimeSpec
from latchgate.manage.notifications import notify
from latchgate.store import schema
from latchgate.store.errors import StoreError
from latchgate.store.usage import LastUse

KIND = "wayscloud.service_key"
POLICY = compiled(FILES, 1)


@pytest.fixture(autouse=True)
def quiet(site):
    """Let the administrator's own key, which is older than the clock, be no part of a test."""
    setting(site, "latchgate.service_key", warning_days=[])


def setting(site, kind=KIND, **told):
    admin = site.world.acting(site.world.admin)
    lifetimes.set_lifetime(site.world.store, POLICY, admin, kind, LifetimeSpec(**told))


def look(site, job=None):
    (job or Warnings()).run(site.work)


def using(site, uses):
    """Let the jobs see these last uses."""

    def last_uses(ids):
        return {one: LastUse(uses[one], None) for one in ids if one in uses}

    site.work = dataclasses.replace(site.work, usage=SimpleNamespace(last_uses=last_uses))


def data(site):
    return [msgspec.json.decode(one) for one in site.told(schema.notification.c.data)]


def disabled_at(site, key):
    table = schema.credential
    return site.world.one(sa.select(table.c.disabled_at).where(table.c.id == key.id))[0]


def test_an_end_is_told_of_30_7_and_1_day_before_once_each(site):
    key = site.world.key(expires_at=site.clock.now + 60 * DAY)
    days = []
    for _ in range(60):
        site.clock.now += DAY
        look(site)
        look(site)
        days.append(len(site.told()))
    assert site.told() == [Event.CREDENTIAL_EXPIRING] * 3
    assert [days.index(count) + 1 for count in (1, 2, 3)] == [30, 53, 59]
    first = data(site)[0]
    assert (first["credential_id"], first["warning_days"]) == (key.id, 30)
    assert key.text not in str(data(site))


def test_a_late_run_sends_the_nearest_warning_alone(site):
    site.world.key(expires_at=site.clock.now + 60 * DAY)
    site.clock.now += 59.5 * DAY
    look(site)
    assert [one["warning_days"] for one in data(site)] == [1]


def test_who_asks_for_a_short_life_is_not_told_of_it(site):
    site.world.key(expires_at=site.clock.now + 7 * DAY - 1)
    look(site)
    assert site.told() == []
    site.clock.now += 6 * DAY
    look(site)
    assert [one["warning_days"] for one in data(site)] == [1]


def test_a_tenant_chooses_the_days(site):
    setting(site, warning_days=[100])
    site.world.key(expires_at=site.clock.now + 101 * DAY)
    site.clock.now += DAY
    look(site)
    assert [one["warning_days"] for one in data(site)] == [100]
    setting(site, warning_days=[])
    site.clock.now += 99 * DAY
    look(site)
    assert len(site.told()) == 1


def test_nobody_is_told_of_what_was_revoked(site):
    key = site.world.key(expires_at=site.clock.now + 60 * DAY)
    site.world.revoke(key)
    site.clock.now += 59 * DAY
    look(site)
    assert site.told() == []


def test_pages_are_gone_through_to_the_end_and_runs_go_on_where_they_were(site, monkeypatch):
    monkeypatch.setattr(warnings, "PAGE", 2)
    monkeypatch.setattr(warnings, "PAGES", 1)
    made = [site.world.key(expires_at=site.clock.now + 60 * DAY).id for _ in range(5)]
    site.clock.now += 100 * DAY - 60 * DAY
    job = Warnings()
    counts = []
    for _ in range(4):
        look(site, job)
        counts.append(len(site.told()))
        site.clock.now += 1
    assert counts == [2, 4, 5, 5]
    assert sorted(site.told(schema.notification.c.record)) == sorted(made)


def test_a_crash_while_writing_loses_and_doubles_nothing(site, monkeypatch):
    for _ in range(3):
        site.world.key(expires_at=site.clock.now + 60 * DAY)
    site.clock.now += 55 * DAY
    calls = []

    def failing(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError
        return told(*args, **kwargs)

    told = notify
    monkeypatch.setattr(warnings, "notify", failing)
    with pytest.raises(RuntimeError):
        look(site)
    assert site.told() == []
    look(site)
    look(site)
    assert len(site.told()) == 3


def test_a_service_key_of_90_days_is_due_once(site):
    key = site.world.key()
    site.clock.now += 90 * DAY
    look(site)
    site.clock.now += 90 * DAY
    look(site)
    assert site.told() == [Event.CREDENTIAL_ROTATION_DUE]
    assert site.told(schema.notification.c.record) == [key.id]


def test_one_that_was_rotated_is_not_due_but_its_end_is_told(site):
    key = site.world.key()
    site.clock.now += 90 * DAY
    table = schema.credential
    after = {
        "superseded_by": "k2",
        "superseded_at": site.clock.now,
        "expires_at": site.clock.now + 7 * DAY,
    }
    changed = sa.update(table).where(table.c.id == key.id).values(after)
    site.world.change(Noun.CREDENTIAL, key.id, changed)
    look(site)
    site.clock.now += 6 * DAY
    look(site)
    assert site.told() == [Event.CREDENTIAL_EXPIRING] * 2
    assert [(one["warning_days"], one["superseded_by"]) for one in data(site)] == [
        (7, "k2"),
        (1, "k2"),
    ]


def test_one_that_is_not_used_is_told_of_and_disabled_a_week_later(site):
    setting(site, unused_after="30d")
    key, used = site.world.key(), site.world.key()
    uses = {used.id: site.clock.now}
    using(site, uses)
    for day in range(1, 31):
        site.clock.now += DAY
        uses[used.id] = site.clock.now
        look(site)
        assert len(site.told()) == (day >= 23) + (day >= 30), day
    assert site.told() == [Event.CREDENTIAL_UNUSED, Event.CREDENTIAL_DISABLED]
    assert disabled_at(site, key) == site.clock.now
    assert disabled_at(site, used) is None
    row = site.world.journal()[-1]
    assert (row.action, row.actor, row.record) == ("credential.disable", ACTOR.name, key.id)
    assert row.tenant_id == key.owner.tenant_id


def test_a_lost_usage_database_disables_nobody_before_a_week_of_it(site):
    setting(site, unused_after="30d")
    key = site.world.key()
    uses: dict[str, float] = {}
    using(site, uses)
    site.clock.now += 365 * DAY
    look(site)
    site.clock.now += 6.9 * DAY
    look(site)
    assert site.told() == [Event.CREDENTIAL_UNUSED]
    uses[key.id] = site.clock.now
    site.clock.now += DAY
    look(site)
    assert disabled_at(site, key) is None


def test_nothing_is_disabled_while_use_cannot_be_read(site):
    setting(site, unused_after="30d")
    key = site.world.key()
    using(site, {})
    site.clock.now += 25 * DAY
    look(site)

    def fail(_ids):
        raise StoreError(str(sqlite3.OperationalError("disk I/O error")))

    site.work = dataclasses.replace(site.work, usage=SimpleNamespace(last_uses=fail))
    site.clock.now += 25 * DAY
    look(site)
    assert disabled_at(site, key) is None


def test_one_that_was_enabled_again_has_its_whole_time(site):
    setting(site, unused_after="30d")
    key = site.world.key()
    using(site, {})
    for _ in range(2):
        site.clock.now += 25 * DAY
        look(site)
    assert disabled_at(site, key) is not None
    table = schema.credential
    with site.world.changing() as change:
        before, after = {"id": key.id, "disabled_at": 1.0}, {"disabled_at": None}
        tenant = key.owner.tenant_id
        change.alter("credential.enable", Noun.CREDENTIAL, table, before, after, tenant_id=tenant)
    site.clock.now += 22 * DAY
    look(site)
    assert disabled_at(site, key) is None
    for _ in range(2):
        site.clock.now += 8 * DAY
        look(site)
    assert disabled_at(site, key) is not None
    wanted = [Event.CREDENTIAL_UNUSED, Event.CREDENTIAL_DISABLED]
    assert site.told() == wanted * 2
