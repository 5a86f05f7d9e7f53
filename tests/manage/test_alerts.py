"""Alerts are made, seen and changed within their tenant, and only such as mean something."""

from __future__ import annotations

import secrets

import msgspec
import pytest
import sqlalchemy as sa

from latchgate.core.scope import Scopes
from latchgate.manage import alerts
from latchgate.manage.alert_raise import ADVICE, Finding, raise_new
from latchgate.manage.alerts import AlertPatch, AlertSpec, Watch
from latchgate.manage.errors import ForbiddenError, InvalidError, NotFoundError, StaleError
from latchgate.manage.listing import Query
from latchgate.manage.records import IfMatch
from latchgate.store import schema

pytestmark = pytest.mark.both_databases

NOW = 1_800_000_000.0
SPEC = {"name": "n", "kind": Watch.REQUESTS_PER_DAY, "threshold": 5}


def create(world, by=None, **told):
    who = by or world.acting(world.admin)
    spec = msgspec.convert(SPEC | told, AlertSpec)
    return alerts.create(world.store, who, spec, now=NOW, entropy=secrets.token_bytes)[0]


def faults(world, **told):
    before = world.head()
    with pytest.raises(InvalidError) as refused:
        create(world, **told)
    assert world.head() == before
    return dict(refused.value.faults)


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"threshold": None}, "threshold"),
        ({"amount": "1"}, "amount"),
        ({"currency": "EUR"}, "currency"),
        ({"kind": Watch.NEW_NETWORK}, "threshold"),
        ({"kind": Watch.NEW_NETWORK, "threshold": None, "per": "tenant"}, "per"),
        ({"kind": Watch.BILLING, "threshold": None, "currency": "EUR"}, "amount"),
        ({"kind": Watch.BILLING, "threshold": None, "amount": "1.00"}, "currency"),
        (
            {"kind": Watch.BILLING, "threshold": None, "amount": "1,5", "currency": "EUR"},
            "amount",
        ),
        ({"kind": Watch.BILLING, "threshold": None, "amount": "0.00", "currency": "EUR"}, "amount"),
        ({"per": "everybody"}, "per"),
        ({"project_id": "p-none"}, "project_id"),
        ({"credential_id": "none"}, "credential_id"),
        ({"project_id": "p", "credential_id": "k"}, "project_id"),
        ({"project_id": "p", "per": "tenant"}, "per"),
        ({"credential_id": "k", "per": "project"}, "per"),
    ],
)
def test_what_does_not_fit_its_kind_is_told_by_its_field(world, told, field):
    assert field in faults(world, **told)


@pytest.mark.parametrize("told", [{"threshold": 0}, {"currency": "eur"}, {"kind": "other"}])
def test_shapes_are_strict(told):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(SPEC | told, AlertSpec)


def test_an_alert_is_kept_as_it_was_asked_for(world):
    made = create(
        world, kind=Watch.BILLING, threshold=None, amount="12.5", currency="EUR", per="project"
    )
    assert (made.amount, made.threshold, made.limit) == ("12.50", None, 12_500_000)
    who = world.acting(world.admin)
    assert alerts.shown(world.store, who, made.id) == made
    assert alerts.listed(world.store, who, Query(), now=NOW) == ([made], None)
    assert world.journal()[-1].action == "alert.create"
    assert set(ADVICE) == set(Watch)


def test_nothing_of_another_tenant_can_be_watched_or_seen(world):
    made = create(world)
    stranger = world.key("manage", owner=world.somebody())
    who = world.acting(stranger)
    for field, record in (
        ("project_id", world.owner.project_id),
        ("credential_id", world.admin.id),
    ):
        assert field in faults(world, by=who, **{field: record})
    patch = AlertPatch(active=False)
    for call in (
        lambda: alerts.shown(world.store, who, made.id),
        lambda: alerts.change_alert(world.store, who, made.id, patch),
        lambda: alerts.delete(world.store, who, made.id),
        lambda: alerts.history(world.store, who, made.id, Query(), now=NOW),
    ):
        with pytest.raises(NotFoundError):
            call()
    assert alerts.listed(world.store, who, Query(), now=NOW) == ([], None)


def test_everybodys_requests_are_for_those_who_see_all_refusals(world):
    poor = world.acting(world.admin, Scopes.of(["manage:alerts.read", "manage:alerts.write"]))
    told = {"kind": Watch.REFUSALS_PER_MINUTE, "per": "everybody"}
    with pytest.raises(ForbiddenError, match="operator:decisions"):
        create(world, by=poor, **told)
    made = create(world, **told)
    assert alerts.listed(world.store, poor, Query(), now=NOW) == ([], None)
    with pytest.raises(NotFoundError):
        alerts.delete(world.store, poor, made.id)
    assert alerts.shown(world.store, world.acting(world.admin), made.id) == made


def test_what_fits_can_be_changed(world):
    who = world.acting(world.admin)
    made = create(world)
    told = AlertPatch(name="other", threshold=9, active=False)
    changed = alerts.change_alert(world.store, who, made.id, told)
    assert (changed.name, changed.threshold, changed.active) == ("other", 9, False)
    assert alerts.active(world.store, *Watch) == []
    with pytest.raises(InvalidError, match="has no amount"):
        alerts.change_alert(world.store, who, made.id, AlertPatch(amount="1"))
    network = create(world, kind=Watch.NEW_NETWORK, threshold=None)
    with pytest.raises(InvalidError, match="counts nothing"):
        alerts.change_alert(world.store, who, network.id, AlertPatch(threshold=1))
    stale = IfMatch(frozenset({made.version}))
    with pytest.raises(StaleError):
        alerts.change_alert(world.store, who, made.id, told, match=stale)


def test_a_tenant_has_so_many_and_no_more(world, monkeypatch):
    monkeypatch.setattr(alerts, "MAX_ALERTS", 2)
    create(world)
    create(world)
    assert "delete one first" in faults(world)["kind"]
    create(world, by=world.acting(world.key("manage", owner=world.somebody())))


def test_a_suspended_tenants_alerts_rest(world):
    create(world)
    statement = sa.update(schema.tenant).values(active=False)
    with world.changing() as change:
        change.execute(statement)
    assert alerts.active(world.store, *Watch) == []


def test_what_was_raised_is_listed_newest_first_and_goes_with_the_alert(world):
    who, actor = world.acting(world.admin), world.acting(world.admin).actor
    made = create(world)
    for period in ("2027-01-14", "2027-01-15"):
        found = [Finding(made, world.admin.id, period, 7)] * 2
        assert raise_new(world.store, actor, found, entropy=secrets.token_bytes) == 1
        assert raise_new(world.store, actor, found, entropy=secrets.token_bytes) == 0
    rows, _ = alerts.history(world.store, who, made.id, Query(), now=NOW)
    assert [one.period for one in rows] == ["2027-01-15", "2027-01-14"]
    assert rows[0].data["value"] == 7
    assert alerts.shown(world.store, who, made.id).last_raised_at == rows[0].at
    alerts.delete(world.store, who, made.id)
    assert world.all(sa.select(schema.alert_raised)) == []
    assert world.journal()[-1].action == "alert.delete"
