"""When something new ends: offered as far as the tenant lets it live, and read as it was chosen."""

from __future__ import annotations

import re

import pytest
from tests import people

from latchgate.doors.console import lasting
from latchgate.manage.errors import InvalidError
from latchgate.manage.lifetimes import DAY
from latchgate.store import schema


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"expires_in": "30d"}, ("30d", None)),
        ({"expires_in": "30d", "expires_at": "2030-01-01"}, ("30d", None)),
        ({"expires_in": "longest"}, (None, None)),
        ({"expires_in": "day", "expires_at": " 2030-01-01 "}, (None, "2030-01-01T23:59:59Z")),
        ({}, (None, None)),
    ],
)
def test_what_was_chosen_is_read_and_nothing_else(form, told):
    asked = lasting.asked(form)
    assert (asked["expires_in"], asked["expires_at"]) == told


def test_a_day_that_was_not_told_is_asked_for():
    with pytest.raises(InvalidError) as error:
        lasting.asked({"expires_in": "day", "expires_at": " "})
    assert [field for field, _ in error.value.faults] == ["expires_at"]


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_no_more_is_offered_than_the_tenant_lets_it_live(visitor, world):
    owner = people.owner(world)
    row = {"id": f"{owner.tenant_id}:*", "tenant_id": owner.tenant_id, "kind": "*", "version": 1}
    with world.store.writing() as connection:
        connection.execute(schema.lifetime.insert().values(**row, maximum_life=10 * DAY))
    visitor.sign_in(owner)
    for path, offered in (
        ("/tokens/new", ["1h", "24h", "7d", "day"]),
        ("/access-keys/new", ["7d", "day", "longest"]),
    ):
        visitor.see(path)
        choices = visitor.page.partition('id="expires_in"')[2].partition("</select>")[0]
        assert re.findall(r'value="(\w+)"', choices) == offered, path
        assert "for 10d at most" in visitor.page
    longer = visitor.send("/access-keys/new", {"name": "long", "expires_in": "90d"})
    assert (longer.status, b'id="expires_in-fault"' in longer.body) == (422, True)
