"""The expiry policy on pages: shown, set, taken away by the rules of the management API."""

from __future__ import annotations

import re

import pytest
from tests import people
from tests.doors.console.visitor import Visitor
from tests.world import Owner

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

KIND = "wayscloud.service_key"
LISTED = "/settings/lifetimes"


@pytest.fixture
def owner(world):
    return people.owner(world)


@pytest.fixture
def chief(visitor, owner):
    visitor.sign_in(owner, LISTED)
    return visitor


def form_of(visitor: Visitor, kind: str, **change: str) -> dict[str, str]:
    """Open the form of a kind, and return what it would send."""
    assert visitor.see(f"{LISTED}/set?kind={kind}").status == 200
    version = re.search(r'name="version" value="([0-9]+)"', visitor.page)
    assert version is not None
    told = {"maximum_life": "", "rotation_age": "", "warning_days": "30, 7, 1", "unused_after": ""}
    return {"kind": kind, "version": version[1], **told, **change}


def test_a_policy_is_set_shown_and_taken_away(chief):
    form = form_of(chief, KIND, maximum_life="90d", rotation_age="30d", warning_days="14, 2")
    assert chief.send(f"{LISTED}/set", form).headers["location"] == f"{LISTED}?done=set"
    chief.see(f"{LISTED}?done=set")
    assert "It holds from now on" in chief.page
    assert ">90d<" in chief.page
    assert "14, 2 days" in chief.page
    chief.see(f"{LISTED}/set?kind={KIND}")
    assert 'value="90d"' in chief.page
    chief.see(f"{LISTED}/remove?kind={KIND}")
    assert f"Take the expiry policy of {KIND} away?" in chief.page
    version = re.search(r'name="version" value="([0-9]+)"', chief.page)
    assert version is not None
    gone = chief.send(f"{LISTED}/remove", {"kind": KIND, "version": version[1]})
    assert gone.headers["location"] == f"{LISTED}?done=removed"
    assert chief.see(f"{LISTED}/remove?kind={KIND}").status == 404


@pytest.mark.parametrize(
    ("change", "beside", "told"),
    [
        ({"maximum_life": "ninety days"}, "maximum_life", "is not a duration"),
        ({"unused_after": "1d"}, "unused_after", "must be from 8d"),
        ({"warning_days": "30, soon"}, "warning_days", "Write whole days"),
        ({"warning_days": "400"}, "warning_days", "must be from 1 to 365"),
        ({"warning_days": "-1"}, "warning_days", "Write whole days"),
        ({"rotation_age": "<b>"}, "rotation_age", "is not a duration"),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(
    chief, change, beside, told
):
    form = form_of(chief, KIND, maximum_life="80d") | change
    answer = chief.send(f"{LISTED}/set", form)
    assert answer.status == 422
    page = answer.body.decode()
    fault = re.search(rf'<p class="fault" id="{beside}-fault"[^>]*>([^<]*)<', page)
    assert fault is not None, page
    assert told in fault[1]
    assert f'aria-describedby="{beside}-hint {beside}-fault"' in page
    if "maximum_life" not in change:
        assert 'value="80d"' in page
    chief.see(LISTED)
    assert ">80d<" not in chief.page


def test_a_later_change_of_somebody_else_is_not_overwritten(chief, server, owner):
    stale = form_of(chief, "*", maximum_life="10d")
    other = Visitor(server)
    other.sign_in(owner)
    assert other.send(f"{LISTED}/set", form_of(other, "*", maximum_life="20d")).status == 303
    assert chief.send(f"{LISTED}/set", stale).status == 409
    assert chief.send(f"{LISTED}/set", stale | {"version": "x"}).status == 409
    chief.see(LISTED)
    assert ">20d<" in chief.page


def test_who_may_only_read_is_offered_no_change_and_refused_one(server, world, owner):
    reader = Visitor(server)
    reader.sign_in(people.colleague(world, owner, "manage:lifetimes.read"))
    assert reader.see(LISTED).status == 200
    assert f"{LISTED}/set" not in reader.page
    assert reader.see(f"{LISTED}/set?kind=*").status == 403
    for path in ("set", "remove"):
        assert reader.send(f"{LISTED}/{path}", {"kind": "*", "version": "0"}).status == 403


def test_forms_without_the_token_of_their_page_are_refused(chief):
    form = form_of(chief, KIND, maximum_life="90d")
    chief.token = "0" * 64
    assert chief.send(f"{LISTED}/set", form).status == 403
    assert chief.send(f"{LISTED}/remove", {"kind": KIND, "version": "0"}).status == 403
    chief.see(LISTED)
    assert ">90d<" not in chief.page


def test_overdue_credentials_of_the_own_tenant_are_listed_and_searched(chief, world, owner):
    chief.send(f"{LISTED}/set", form_of(chief, "*", maximum_life="1d"))
    of = Owner(owner.tenant_id, owner.project_id, owner.id)
    mine = world.key(owner=of, name="Old uploader")
    world.key(name="Of another tenant")
    chief.see(f"{LISTED}/overdue")
    assert "Old uploader" in chief.page
    assert "lives too long" in chief.page
    assert "Of another tenant" not in chief.page
    chief.see(f"{LISTED}/overdue?q=nothing+like+it")
    assert "Old uploader" not in chief.page
    assert "Nothing of that sort is overdue." in chief.page
    chief.see(f"{LISTED}/overdue?q={mine.id}&kind=any&sort=-created_at")
    assert "Old uploader" in chief.page
    assert chief.see(f"{LISTED}/overdue?sort=secret").status == 422


def test_a_kind_without_a_life_of_its_own_is_none(chief):
    for kind in ("latchgate.account_password", "x", "", "%2A%2A"):
        assert chief.see(f"{LISTED}/set?kind={kind}").status == 404
