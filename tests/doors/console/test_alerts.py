"""Alerts on pages: by whose right, made once, wrong fields beside their own, gone when deleted."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from tests import people
from tests.doors.console.visitor import Visitor

from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

FORM = {"name": "Spending", "kind": "requests_per_day", "threshold": "50", "per": "tenant"}
READER = ("manage:alerts.read",)


@pytest.fixture
def owner(visitor, world):
    """The first user of a tenant, who is signed in."""
    made = people.owner(world)
    visitor.sign_in(made, "/alerts")
    return made


def made(visitor, **more):
    """Send the form for a new one; returns where it leads."""
    visitor.see("/alerts/new")
    (once,) = re.findall(r'name="once" value="(\w+)"', visitor.page)
    return visitor.send("/alerts/new", {"once": once, **FORM, **more}).headers["location"]


def held(world, owner):
    table = schema.alert
    return world.all(sa.select(table).where(table.c.tenant_id == owner.tenant_id))


def test_whoever_may_only_read_sees_them_and_changes_nothing(visitor, world, server, owner):
    path = made(visitor).partition("?")[0]
    reader = Visitor(server)
    reader.sign_in(people.colleague(world, owner, *READER))
    assert reader.see("/alerts").status == 200
    assert "Spending" in reader.page
    assert "/alerts/new" not in reader.page
    assert reader.see(path).status == 200
    assert f"{path}/delete" not in reader.page
    for page in ("/alerts/new", f"{path}/change", f"{path}/delete"):
        assert reader.see(page).status == 403
        assert reader.send(page, {}).status == 403
    other = Visitor(server)
    other.sign_in(people.colleague(world, owner, "own:account.read"))
    assert other.see("/alerts").status == 403
    other.see("/security")
    assert 'href="/alerts"' not in other.page
    assert len(held(world, owner)) == 1


def test_an_alert_of_another_tenant_is_not_there(visitor, world, server, owner):
    path = made(visitor).partition("?")[0]
    stranger = Visitor(server)
    stranger.sign_in(people.owner(world))
    for page in (path, f"{path}/change", f"{path}/delete"):
        assert stranger.see(page).status == 404
    stranger.see("/alerts/new")
    for page in (f"{path}/change", f"{path}/delete"):
        assert stranger.send(page, {"name": "x"} if "change" in page else {}).status == 404
    assert [one.name for one in held(world, owner)] == ["Spending"]


def test_a_form_sent_twice_makes_one(visitor, world, owner):
    visitor.see("/alerts/new")
    (once,) = re.findall(r'name="once" value="(\w+)"', visitor.page)
    answers = [visitor.send("/alerts/new", {"once": once, **FORM}) for _ in range(2)]
    assert [one.status for one in answers] == [303, 303]
    assert answers[0].headers["location"] == answers[1].headers["location"]
    assert [one.limit for one in held(world, owner)] == [50]


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"threshold": "many"}, "threshold"),
        ({"threshold": ""}, "threshold"),
        ({"threshold": "9" * 30}, "threshold"),
        ({"amount": "5"}, "amount"),
        ({"kind": "billing", "threshold": "", "amount": "1,5", "currency": "EUR"}, "amount"),
        ({"kind": "billing", "threshold": "", "amount": "5", "currency": "euro"}, "currency"),
        ({"project_id": "p-none", "per": "project"}, "project_id"),
        ({"credential_id": "none", "per": "credential"}, "credential_id"),
        ({"kind": "weather"}, "kind"),
        ({"name": ""}, "name"),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(
    visitor, world, owner, told, field
):
    visitor.see("/alerts/new")
    answer = visitor.send("/alerts/new", FORM | {"name": "Typed"} | told)
    assert answer.status == 422
    body = answer.body.decode()
    assert f'id="{field}-fault"' in body
    assert 'value="Typed"' in body or field == "name"
    assert held(world, owner) == []


def test_what_everybody_asks_for_is_watched_by_operators_alone(visitor, world, owner):
    visitor.see("/alerts/new")
    assert "everybody" not in visitor.page.lower()
    told = FORM | {"kind": "refusals_per_minute", "per": "everybody"}
    assert visitor.send("/alerts/new", told).status == 403
    assert held(world, owner) == []


def test_an_alert_is_changed_unless_somebody_else_was_faster(visitor, world, owner):
    path = made(visitor).partition("?")[0]
    visitor.see(f"{path}/change")
    (version,) = re.findall(r'name="version" value="(\d+)"', visitor.page)
    told = {"version": version, "name": "Less", "threshold": "10"}
    assert visitor.send(f"{path}/change", told | {"threshold": "0"}).status == 422
    assert visitor.send(f"{path}/change", told).status == 303
    (one,) = held(world, owner)
    assert (one.name, one.limit, one.active) == ("Less", 10, False)
    refused = visitor.send(f"{path}/change", told | {"name": "Stale"})
    assert refused.status == 409
    assert held(world, owner)[0].name == "Less"


def test_an_alert_is_deleted_after_a_question(visitor, world, owner):
    path = made(visitor, name="<b>Old</b>").partition("?")[0]
    assert "<b>Old" not in visitor.ask("GET", path).body.decode()
    visitor.see(f"{path}/delete")
    assert len(held(world, owner)) == 1
    assert visitor.ask("POST", f"{path}/delete", {"csrf": "0" * 64}).status == 403
    assert visitor.send(f"{path}/delete").headers["location"] == "/alerts?done=deleted"
    assert held(world, owner) == []
