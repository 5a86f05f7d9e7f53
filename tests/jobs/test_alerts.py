"""What was counted raises alerts: once a period, for whom it is, and for nobody else."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.jobs.alerting import Alerting
from tests.world import FILES, chain_faults

from latchgate.jobs import alerts as job
from latchgate.jobs.job import ACTOR
from latchgate.manage import alert_raise, alerts
from latchgate.manage.alert_raise import Finding, raise_new
from latchgate.manage.alerts import AlertPatch, Watch
from latchgate.store import schema

HOUR, DAY = 3_600, 86_400
PRICED = {
    **FILES,
    "wayscloud.toml": FILES["wayscloud.toml"].replace(
        'dialect = "wayscloud"', 'dialect = "wayscloud"\ncurrency = "EUR"', 1
    )
    + '\n[services.storage.prices]\n"storage:read" = "0.25"\n"storage:write" = "1.5"\n',
}


@pytest.fixture
def alerting(tmp_path):
    made = Alerting(tmp_path, PRICED)
    yield made
    made.close()


def test_requests_of_a_day_are_told_once_a_day(alerting):
    key, quiet = alerting.world.key("storage"), alerting.world.key("storage")
    alert = alerting.make(Watch.REQUESTS_PER_DAY, threshold=5)
    alerting.use(key, 4)
    alerting.use(quiet, 4)
    assert alerting.run() == []
    alerting.use(key, 2)
    assert alerting.run() == [(key.id, 6)]
    alerting.use(key, 9)
    assert alerting.run() == []
    alerting.now += DAY
    alerting.use(key, 5)
    assert alerting.run() == [(key.id, 5)]
    first, _ = alerting.told()
    assert first["event"] == "alert.raised"
    assert (first["tenant_id"], first["user_id"]) == (key.owner.tenant_id, key.owner.user_id)
    assert first["record"] == alert.id
    assert first["data"]["threshold"] == 5
    assert first["data"]["period"] == "2027-01-15"
    assert "revoke" in first["data"]["what_to_do"]
    assert chain_faults(alerting.world.database) == []
    assert [row.action for row in alerting.world.journal()].count("alert.raise") == 2


def test_what_was_raised_long_ago_is_forgotten_and_the_rest_stays(alerting):
    key = alerting.world.key("storage")
    alerting.make(Watch.REQUESTS_PER_DAY, threshold=1)
    for later in (0, job.KEEP_SECONDS, 1):
        alerting.now += later
        alerting.use(key)
        alerting.run()
        job.forget(alerting.work)
    (kept,) = alerting.world.all(sa.select(schema.alert_raised.c.at))
    assert kept.at == alerting.now - 1


def test_requests_are_added_up_by_project_and_by_tenant(alerting):
    one, other = alerting.world.key("storage"), alerting.world.key("storage")
    alerting.make(Watch.REQUESTS_PER_DAY, threshold=6, per="project")
    alerting.make(Watch.REQUESTS_PER_DAY, threshold=7, per="tenant")
    alerting.make(Watch.REQUESTS_PER_DAY, threshold=6)
    alerting.use(one, 3)
    alerting.use(other, 3)
    assert alerting.run() == [(one.owner.project_id, 6)]
    alerting.use(other)
    assert alerting.run() == [(one.owner.tenant_id, 7)]


def test_one_credential_or_project_is_watched_alone(alerting):
    world = alerting.world
    one, other = world.key("storage"), world.key("storage")
    elsewhere = world.key("storage", owner=world.somebody(tenant_id=world.owner.tenant_id))
    alerting.make(Watch.REQUESTS_PER_DAY, threshold=1, credential_id=one.id)
    alerting.make(Watch.REQUESTS_PER_DAY, threshold=2, project_id=elsewhere.owner.project_id)
    for key in (one, other, elsewhere, elsewhere):
        alerting.use(key)
    assert sorted(alerting.run()) == sorted([(one.id, 1), (elsewhere.id, 2)])


def test_what_other_tenants_do_is_never_told(alerting):
    owner = alerting.world.somebody()
    stranger = alerting.world.key("storage", scopes=["storage:read"], owner=owner)
    for kind in (Watch.REQUESTS_PER_DAY, Watch.REFUSALS_PER_MINUTE):
        for per in ("credential", "project", "tenant"):
            alerting.make(kind, threshold=1, per=per)
    alerting.make(Watch.BILLING, amount="0.01", currency="EUR")
    alerting.use(stranger, 3)
    alerting.use(stranger, 3, method="PUT")
    assert alerting.run() == []
    theirs = alerting.make(Watch.REQUESTS_PER_DAY, by=stranger, threshold=1)
    assert alerting.run() == [(stranger.id, 6)]
    assert alerting.told()[0]["tenant_id"] == theirs.tenant_id == stranger.owner.tenant_id


def test_refusals_of_a_minute_are_told_once_an_hour(alerting):
    key = alerting.world.key("storage", scopes=["storage:read"])
    alerting.make(Watch.REFUSALS_PER_MINUTE, threshold=3)
    alerting.use(key, 9)
    alerting.use(key, 2, method="PUT")
    assert alerting.run() == []
    alerting.now += 60
    alerting.use(key, 2, method="PUT")
    assert alerting.run() == []  # not both minutes together
    alerting.use(key, 1, method="PUT")
    assert alerting.run() == [(key.id, 3)]
    alerting.now += 120
    alerting.use(key, 5, method="PUT")
    assert alerting.run() == []
    alerting.now += HOUR
    alerting.use(key, 5, method="PUT")
    assert alerting.run() == [(key.id, 5)]


def test_a_flood_of_unknown_keys_is_told_to_the_operator_alone(alerting):
    alerting.make(Watch.REFUSALS_PER_MINUTE, threshold=4, per="everybody")
    alerting.make(Watch.REFUSALS_PER_MINUTE, threshold=4, per="tenant")
    alerting.use(None, 5, headers={"authorization": "Bearer wayscloud_storage_nobody_x"})
    assert alerting.run() == [("", 5)]
    (told,) = alerting.told()
    assert (told["tenant_id"], told["user_id"], told["data"]["subject_name"]) == (None, None, None)


def test_a_months_amount_is_exact_and_told_once_a_month(alerting):
    key = alerting.world.key("storage")
    alerting.make(Watch.BILLING, amount="2.00", currency="EUR")
    alerting.make(Watch.BILLING, amount="0.01", currency="USD")
    alerting.use(key, 1)
    alerting.use(key, 1, method="PUT")
    assert alerting.run() == []  # 1.75
    alerting.now += 3 * DAY
    alerting.use(key, 1)
    assert alerting.run() == [(key.id, "2.00")]
    alerting.use(key, 1)
    assert alerting.run() == []
    alerting.now += 20 * DAY  # in February
    alerting.use(key, 8)
    assert alerting.run() == [(key.id, "2.00")]
    assert [one["data"]["period"] for one in alerting.told()] == ["2027-01", "2027-02"]


def test_an_alert_that_is_off_tells_nothing(alerting):
    key = alerting.world.key("storage")
    who = alerting.world.acting(alerting.world.admin)
    alert = alerting.make(Watch.REQUESTS_PER_DAY, threshold=1)
    alerting.use(key)
    found = [Finding(alert, key.id, "2027-01-15", 1)]
    alerts.change_alert(alerting.world.store, who, alert.id, AlertPatch(active=False))
    assert alerting.run() == []
    # Switched off between the evaluation and the telling.
    assert raise_new(alerting.work.store, ACTOR, found, entropy=alerting.work.entropy) == 0
    alerts.change_alert(alerting.world.store, who, alert.id, AlertPatch(active=True))
    assert alerting.run() == [(key.id, 1)]
    assert raise_new(alerting.work.store, ACTOR, found, entropy=alerting.work.entropy) == 0


def test_more_than_can_be_told_at_once_comes_the_next_time(alerting, monkeypatch):
    monkeypatch.setattr(alert_raise, "MAX_RAISED", 2)
    alerting.make(Watch.REQUESTS_PER_DAY, threshold=1)
    for _ in range(3):
        alerting.use(alerting.world.key("storage"))
    assert [len(alerting.run()) for _ in range(3)] == [2, 1, 0]


def test_a_crash_before_the_commit_is_told_afterwards(alerting, monkeypatch):
    alerting.make(Watch.REQUESTS_PER_DAY, threshold=1)
    alerting.use(alerting.world.key("storage"))
    head = alerting.world.head()
    with monkeypatch.context() as patched:

        def fail(*_, **__):
            raise RuntimeError

        patched.setattr(alert_raise, "notify", fail)
        with pytest.raises(RuntimeError):
            alerting.run()
    assert alerting.world.head() == head
    assert len(alerting.run()) == 1
