"""Usage on pages: what was counted, of the own tenant alone, on the page as in its file."""

from __future__ import annotations

import csv
import io
import time

import pytest
from tests import people
from tests.doors.console.visitor import Visitor
from tests.doors.manage.test_usage import PRICED, counted
from tests.world import FILES, Owner, until

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
OTHERS = "another-tenants-own"


@pytest.fixture(scope="module")
def used(server, world):
    """A tenant's owner and their key with 5 priced reads and 2 refused writes, and another's."""
    who = people.owner(world)
    key = world.key(
        owner=Owner(who.tenant_id, who.project_id, who.id), name="Web shop", scopes=["storage:read"]
    )
    other = world.key(owner=world.somebody("*"), name=OTHERS)
    world.publish({**FILES, "wayscloud.toml": PRICED})
    for _ in range(5):
        assert server.allows(key.text)
    for _ in range(2):
        assert not server.allows(key.text, method="PUT")
    assert server.allows(other.text)
    until(lambda: counted(server, key.id) == 7, seconds=30, what="the counts")
    until(lambda: counted(server, other.id) == 1, seconds=30, what="the other's count")
    return who, key, other


@pytest.fixture
def looking(server, used):
    """A browser in which the owner is signed in."""
    made = Visitor(server)
    made.sign_in(used[0], "/usage")
    return made


def test_the_page_shows_what_the_file_holds(looking, used):
    _, key, other = used
    answer = looking.see("/usage?by=credential&and_by=reason&last=24h")
    assert answer.status == 200
    for text in ("Web shop", key.id, "allowed", "scope_not_granted", "series-0", "series-1"):
        assert text in looking.page
    assert OTHERS not in looking.page
    assert other.id not in looking.page
    command = "latchgate usage show --by credential,reason --since 24h --period hour"
    assert f"<code>{command}</code>" in looking.page
    file = looking.ask("GET", "/usage/csv?by=credential&and_by=reason&last=24h")
    assert file.headers["content-type"] == "text/csv; charset=utf-8"
    assert file.headers["content-disposition"] == 'attachment; filename="usage.csv"'
    assert file.headers["cache-control"] == "no-store"
    assert list(csv.reader(io.StringIO(file.body.decode()))) == [
        ["credential_id", "reason", "count"],
        [key.id, "allowed", "5"],
        [key.id, "scope_not_granted", "2"],
    ]


def test_filters_narrow_the_table_and_the_chart(looking, used):
    looking.see("/usage?by=scope&reason=scope_not_granted&last=7d")
    assert "storage:write" in looking.page
    assert "storage:read" not in looking.page
    looking.see("/usage?by=reason&credential=nobody")
    assert "Nothing was counted" in looking.page


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("by=weather", "by"),
        ("from=2026-13-01", "from"),
        ("from=2026-11-05&until=2026-11-01", "from"),
        ("until=yesterday", "until"),
        ("period=century", "period"),
        ("last=90d&period=minute", "period"),
    ],
)
def test_what_cannot_be_asked_is_said_beside_its_field(looking, query, field):
    assert looking.see(f"/usage?{query}").status == 422
    assert f'id="{field}-fault"' in looking.page


def test_a_month_is_billed_in_its_currency(looking, used):
    _, key, _ = used
    month = time.strftime("%Y-%m", time.gmtime())
    looking.see(f"/usage/bill?month={month}&by=credential")
    for text in ("0.002", "NOK", "Web shop"):
        assert text in looking.page
    file = looking.ask("GET", f"/usage/bill/csv?month={month}&by=credential").body.decode()
    head, row = list(csv.reader(io.StringIO(file)))
    assert head == ["tenant_id", "project_id", "credential_id", "currency", "count", "amount"]
    assert (row[2], row[3]) == (key.id, "NOK")
    assert looking.see("/usage/bill?month=2026-13").status == 422
    assert 'id="month-fault"' in looking.page
    looking.see("/usage/bill?month=2020-01")
    assert "That month cost nothing" in looking.page


def test_other_tenants_use_and_what_takes_another_right_is_refused(looking, used, server, world):
    who, _, other = used
    for path in ("/usage", "/usage/csv", "/usage/bill", "/usage/bill/csv"):
        assert looking.see(f"{path}?tenant_id={other.owner.tenant_id}").status == 403
    looking.see(f"/usage?credential={other.id}")
    assert OTHERS not in looking.page
    reader = Visitor(server)
    reader.sign_in(people.colleague(world, who, "manage:keys.read"))
    for path in ("/usage", "/usage/csv", "/usage/bill", "/usage/bill/csv"):
        assert reader.see(path).status == 403
    reader.see("/security")
    assert 'href="/usage"' not in reader.page


def test_the_operator_tells_organisations_apart(server, world, used):
    visitor = Visitor(server)
    visitor.sign_in(people.person(world, "*"))
    visitor.see("/usage?by=tenant&and_by=credential&last=24h")
    assert "Web shop" in visitor.page
    assert OTHERS in visitor.page
