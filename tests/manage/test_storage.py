"""The storage of a user: what was said of it, never more, and only within the own tenant."""

from __future__ import annotations

import msgspec
import pytest

from latchgate.core.model import Noun
from latchgate.manage import storage
from latchgate.manage.errors import InvalidError, NotFoundError, StaleError
from latchgate.manage.records import IfMatch
from latchgate.manage.storage import StoragePatch, StoredStorage

pytestmark = pytest.mark.both_databases

NODE = "aki.example.com"


@pytest.fixture
def admin(world):
    return world.acting(world.admin)


@pytest.fixture
def user(world):
    return world.user(world.owner.tenant_id)


def change(world, caller, user_id, match=None, **told):
    how = {} if match is None else {"match": match}
    return storage.change_storage(world.store, caller, user_id, StoragePatch(**told), **how)


def test_nothing_is_known_of_a_new_users_storage(world, admin, user):
    assert storage.shown(world.store, admin, user) == StoredStorage(user, None, None, 0, None, 0)


def test_what_is_not_told_stays_and_null_takes_away(world, admin, user):
    first, n = change(world, admin, user, node=NODE, quota=2**31, introduce_code="ABC12")
    assert first == StoredStorage(user, NODE, 2**31, 0, "ABC12", n)
    second, m = change(world, admin, user, used=7, introduce_code=None)
    assert second == StoredStorage(user, NODE, 2**31, 7, None, m)
    assert storage.shown(world.store, admin, user) == second
    rows = world.journal()[-2:]
    assert {(row.noun, row.record, row.action) for row in rows} == {
        (str(Noun.STORAGE), user, "storage.change")
    }
    assert msgspec.json.decode(rows[-1].detail) == {
        "before": {"used": 0, "introduce_code": "ABC12"},
        "after": {"used": 7, "introduce_code": None},
    }


def test_the_same_again_writes_nothing(world, admin, user):
    told, n = change(world, admin, user, quota=5)
    assert change(world, admin, user, quota=5) == (told, n)
    assert world.head() == n


def test_a_node_needs_a_quota_to_tell_of(world, admin, user):
    with pytest.raises(InvalidError, match="quota"):
        change(world, admin, user, node=NODE)
    change(world, admin, user, node=NODE, quota=1)
    before = world.head()
    with pytest.raises(InvalidError, match="quota"):
        change(world, admin, user, quota=None)
    assert world.head() == before


def test_a_change_of_another_version_is_refused(world, admin, user):
    _, n = change(world, admin, user, IfMatch(frozenset({0})), quota=1)
    with pytest.raises(StaleError):
        change(world, admin, user, IfMatch(frozenset({0})), quota=2)
    change(world, admin, user, IfMatch(frozenset({n})), quota=2)


def test_a_user_of_another_tenant_is_nobody(world, admin):
    other = world.user(world.tenant())
    with pytest.raises(NotFoundError):
        storage.shown(world.store, admin, other)
    with pytest.raises(NotFoundError):
        change(world, admin, other, quota=1)


@pytest.mark.parametrize(
    "told",
    [
        {"node": "aki"},
        {"node": "AKI.example.com"},
        {"node": "aki.example.com/dav"},
        {"node": "user@aki.example.com"},
        {"node": "aki.example.com\n"},
        {"node": "-a.example.com"},
        {"node": f"{'a' * 64}.example.com"},
        {"node": "aki.example.com:"},
        {"quota": -1},
        {"quota": 2**53},
        {"quota": 1.5},
        {"used": None},
        {"introduce_code": "a b"},
        {"introduce_code": ""},
        {"colour": "red"},
    ],
)
def test_what_could_mislead_a_client_is_refused(told):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(told, StoragePatch)


@pytest.mark.parametrize("node", [NODE, "127.0.0.1:8443", "xn--p1ai.example.com"])
def test_a_node_is_a_host_and_at_most_a_port(node):
    assert msgspec.convert({"node": node}, StoragePatch).node == node
