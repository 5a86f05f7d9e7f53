"""One key's page: what it may do and how it is used, for who may see that."""

from __future__ import annotations

import re
import time

import msgspec
import pytest
import sqlalchemy as sa
from tests import people
from tests.doors.console.visitor import Visitor
from tests.world import Owner, http_request, until

from latchgate.core.model import Noun
from latchgate.store import schema
from latchgate.store.sqlite import connect
from latchgate.store.usage import Period, UsageReader

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
DAY = 86_400


@pytest.fixture(scope="module")
def owner(world):
    return people.owner(world)


def use(server, key, *, method: str, agent: str, client: str) -> None:
    asked = {
        "method": method,
        "target": "/v1/storage/bucket/object",
        "host": "api.example",
        "headers": {"Authorization": f"Bearer {key.text}", "User-Agent": agent},
        "client": client,
    }
    url = server.addresses["verify"] + "/"
    assert http_request("POST", url, body=msgspec.json.encode(asked)).status == 200


def make_old(world, key, days: int) -> None:
    """Let a key, and the counting of what it does, have begun so many days ago."""
    table, then = schema.credential, time.time() - days * DAY
    world.change(
        Noun.CREDENTIAL,
        key.id,
        sa.update(table).where(table.c.id == key.id).values(created_at=then),
    )
    first = int(then // DAY) * DAY
    connection = connect(world.usage_database, durable=False)
    names = "tenant_id, project_id, credential_id, application_id, area, scope, reason, price"
    connection.execute(
        f"INSERT INTO use_day (at, {names}, currency, count)"  # noqa: S608 - names of columns
        f" SELECT ?, {names}, currency, 5 FROM use_day WHERE credential_id = ? LIMIT 1",
        (first, key.id),
    )
    connection.close()


@pytest.fixture(scope="module")
def used(server, world, owner):
    """A key with uses and refusals, from two places, that never used one of its rights."""
    held = Owner(owner.tenant_id, owner.project_id, owner.id)
    key = world.key(owner=held, name="shop", scopes=["storage:read", "storage:write"])
    for _ in range(3):
        use(server, key, method="GET", agent="rclone/1.68", client="192.0.2.9")
    use(server, key, method="DELETE", agent="curl/8", client="2001:db8::9")
    reader = UsageReader(world.usage_database)
    until(
        lambda: (
            sum(one.count for one in reader.sources(key.id, since=0)) == 4
            and reader.refusals(held.tenant_id, limit=1, credential_id=key.id)
            and reader.totals([], period=Period.DAY, since=0, until=time.time() + 1)[0].count >= 4
        ),
        seconds=30,
        what="what was written of the uses",
    )
    reader.close()
    make_old(world, key, 120)
    return key


def test_its_use_its_refusals_and_its_unused_rights_are_shown(server, owner, used):
    visitor = Visitor(server)
    visitor.sign_in(owner)
    visitor.see(f"/keys/{used.id}")
    page = visitor.page
    today = time.strftime("%Y-%m-%d", time.gmtime())
    row = rf'{today}</th><td data-label="allowed"[^>]*>3</td><td data-label="refused"[^>]*>1</td>'
    assert re.search(row, page), page
    assert "rclone/1.68" in page
    assert "2001:db8::9" in page
    assert ">DELETE /v1/storage/bucket/object<" in page
    assert "storage:delete" in page  # what would allow what was refused
    unused = re.findall(r'<code class="hint">([^<]+)</code></span> <span class="state', page)
    assert unused == ["storage:write"]
    assert "Take away what is unused" in page
    assert used.text not in page
    visitor.see(f"/keys/{used.id}/narrow")
    assert re.findall(r'value="([^"]+)" checked', visitor.page) == ["storage:read"]


def test_who_may_not_see_use_and_refusals_sees_the_key_without_them(server, world, owner, used):
    visitor = Visitor(server)
    visitor.sign_in(people.colleague(world, owner, "manage:keys.read"))
    assert visitor.see(f"/keys/{used.id}").status == 200
    assert "Recent refusals" not in visitor.page
    assert "last 30 days (UTC)" not in visitor.page
    assert "/revoke" not in visitor.page


def test_whose_key_it_is_sees_all_of_it(server, world, owner):
    held = people.colleague(world, owner, "own:keys.read")
    key = world.key(owner=Owner(held.tenant_id, held.project_id, held.id), scopes=[])
    visitor = Visitor(server)
    visitor.sign_in(held)
    assert visitor.see(f"/keys/{key.id}").status == 200
    assert "No refusal of it is kept" in visitor.page
    assert "It was not used in the last 30 days." in visitor.page
    assert visitor.see("/keys/nothing").status == 404


def test_what_nobody_did_is_not_said_to_be_done(server, owner, used):
    visitor = Visitor(server)
    visitor.sign_in(owner)
    visitor.see(f"/keys/{used.id}?done=%3Cb%3E")
    assert 'class="done"' not in visitor.page
