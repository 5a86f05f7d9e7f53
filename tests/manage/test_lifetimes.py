"""How long keys may live: what bounds a new one, what is overdue, and only within the tenant."""

from __future__ import annotations

import secrets

import msgspec
import pytest
from tests.world import FILES, World, compiled

from latchgate.manage import access_keys, basic, keys, lifetimes, tokens
from latchgate.manage.access_keys import AccessKeySpec
from latchgate.manage.basic import BasicSpec
from latchgate.manage.errors import ForbiddenError, InvalidError, NotFoundError, StaleError
from latchgate.manage.keys import KeySpec
from latchgate.manage.lifetimes import DAY, LifetimeSpec
from latchgate.manage.listing import Query
from latchgate.manage.records import IfMatch
from latchgate.manage.tokens import TokenSpec
from latchgate.store.usage import LastUse

pytestmark = pytest.mark.both_databases

POLICY = compiled(FILES, 1)
NOW = 1_900_000_000.0
KIND = "wayscloud.service_key"


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def world(tmp_path, clock):
    made = World(tmp_path, clock=clock)
    yield made
    made.close()


@pytest.fixture
def admin(world):
    return world.acting(world.admin)


def setting(world, caller, kind="*", match=None, **told):
    how = {} if match is None else {"match": match}
    return lifetimes.set_lifetime(world.store, POLICY, caller, kind, LifetimeSpec(**told), **how)


def make_key(world, caller, **told):
    spec = KeySpec(name="k", services=["storage"], **told)
    return keys.issue(
        world.store, POLICY, caller, spec, now=world.clock(), entropy=secrets.token_bytes
    )[0]


def make_token(world, caller, **told):
    spec = TokenSpec(name="t", **told)
    return tokens.create(
        world.store, POLICY, caller, spec, now=world.clock(), entropy=secrets.token_bytes
    )[0]


def make_access_key(world, caller, **told):
    spec = AccessKeySpec(name="a", **told)
    return access_keys.create(
        world.store, POLICY, caller, spec, now=world.clock(), entropy=secrets.token_bytes
    )[0]


def test_a_policy_is_shown_as_it_was_set_and_is_journaled(world, admin):
    told = {"maximum_life": "1d12h", "rotation_age": "90d", "warning_days": [1, 30, 30]}
    made = setting(world, admin, KIND, **told)
    assert lifetimes.show(world.store, admin) == [made]
    assert (made.maximum_life, made.warning_days, made.unused_after) == ("1d12h", [30, 1], None)
    row = world.journal()[-1]
    assert (row.action, row.noun, row.actor) == ("lifetime.set", "lifetime", admin.actor.name)
    changed = setting(
        world, admin, KIND, maximum_life="2d", match=IfMatch(frozenset({made.version}))
    )
    assert (changed.rotation_age, changed.warning_days) == (None, None)
    with pytest.raises(StaleError):
        setting(world, admin, KIND, match=IfMatch(frozenset({made.version})))
    with pytest.raises(StaleError):
        lifetimes.remove(world.store, admin, KIND, match=IfMatch(frozenset({made.version})))
    assert lifetimes.remove(world.store, admin, KIND) == changed
    assert msgspec.json.decode(world.journal()[-1].detail)["after"] is None
    with pytest.raises(NotFoundError):
        lifetimes.remove(world.store, admin, KIND)


def test_all_that_is_wrong_with_a_policy_is_told_at_once(world, admin):
    head = world.head()
    with pytest.raises(InvalidError) as caught:
        setting(
            world, admin, "wayscloud.password",
            maximum_life="59m", rotation_age="soon", warning_days=[0], unused_after="7d",
        )  # fmt: skip
    faults = dict(caught.value.faults)
    assert set(faults) == {"kind", "maximum_life", "rotation_age", "warning_days", "unused_after"}
    assert KIND in faults["kind"]
    assert "1h to 3650d" in faults["maximum_life"]
    for kind in ("latchgate.account_password", "kakaocloud.project_token"):
        with pytest.raises(InvalidError, match="kind"):
            setting(world, admin, kind)
    assert world.head() == head


@pytest.mark.parametrize("make", [make_key, make_token, make_access_key])
def test_a_maximum_bounds_what_is_asked_for(world, admin, make):
    setting(world, admin, maximum_life="30d")
    assert make(world, admin, expires_in="30d").expires_at == NOW + 30 * DAY
    for field, told in (("expires_in", "31d"), ("expires_at", "2031-01-01T00:00:00Z")):
        with pytest.raises(InvalidError) as caught:
            make(world, admin, **{field: told})
        ((named, words),) = caught.value.faults
        assert named == field
        assert "at most 30d" in words


@pytest.mark.parametrize("make", [make_key, make_access_key])
def test_what_asks_for_no_life_gets_the_maximum(world, admin, make):
    before = make_key(world, admin)
    setting(world, admin, maximum_life="30d")
    assert make(world, admin).expires_at == NOW + 30 * DAY
    assert keys.shown(world.store, admin, before.id).expires_at is None


def test_an_app_password_gets_the_maximum(world, admin):
    setting(world, admin, "teracloud.app_password", maximum_life="60d")
    shown, _, _ = basic.enable(
        world.store,
        POLICY,
        admin,
        admin.owner.id,
        spec=BasicSpec(),
        now=NOW,
        entropy=secrets.token_bytes,
    )
    assert shown.expires_at == NOW + 60 * DAY


def test_a_kinds_own_policy_goes_before_that_of_all(world, admin):
    setting(world, admin, maximum_life="30d")
    setting(world, admin, KIND, rotation_age="10d")
    assert make_key(world, admin).expires_at is None
    assert make_access_key(world, admin).expires_at is not None


def test_the_maximum_makes_no_key_outlive_what_it_is_made_with(world):
    short = world.acting(world.key("manage", "storage", expires_at=NOW + DAY))
    setting(world, short, maximum_life="30d")
    with pytest.raises(ForbiddenError, match="outlive"):
        make_key(world, short)
    setting(world, short, maximum_life="12h")
    assert make_key(world, short).expires_at == NOW + DAY / 2


def test_another_tenants_policy_bounds_nobody_here(world, admin):
    other = world.acting(world.key("manage", owner=world.somebody("*")))
    setting(world, other, maximum_life="1h")
    assert lifetimes.show(world.store, admin) == []
    assert make_key(world, admin).expires_at is None
    with pytest.raises(NotFoundError):
        lifetimes.remove(world.store, admin, "*")


def overdue(world, caller, uses=None, **query):
    asked = Query(filters={"kind": KIND}, **query)

    def last_uses(ids):
        return {one: uses[one] for one in ids if uses and one in uses}

    return lifetimes.overdue(
        world.store, POLICY, caller, asked, last_uses=last_uses, now=world.clock()
    )


def test_by_age_alone_each_kinds_own_bound_counts(world, clock, admin):
    setting(world, admin, KIND, rotation_age="30d")
    setting(world, admin, "upcloud.api_token", unused_after="20d")
    old = world.key()
    clock.now += 25 * DAY
    assert overdue(world, admin)[0] == []
    clock.now += 5 * DAY
    young = world.key()
    assert [one.id for one in overdue(world, admin)[0]] == [old.id]
    assert young.id not in {one.id for one in overdue(world, admin)[0]}


def test_overdue_names_each_key_and_why(world, clock, admin):
    forever, used = world.key(), world.key()
    clock.now += 40 * DAY
    fresh = world.key(expires_at=clock.now + DAY)
    setting(world, admin, KIND, maximum_life="60d", rotation_age="30d", unused_after="20d")
    world.key(owner=world.somebody("*"))
    found, following = overdue(world, admin, {used.id: LastUse(at=clock.now - DAY, address=None)})
    told = {one.id: one.faults for one in found}
    assert told == {
        forever.id: ["maximum_life", "rotation_age", "unused_after"],
        used.id: ["maximum_life", "rotation_age"],
    }
    assert fresh.id not in told
    assert following is None
    assert [one.id for one in overdue(world, admin, q=used.id)[0]] == [used.id]
    world.revoke(forever)
    assert [one.id for one in overdue(world, admin)[0]] == [used.id]


def test_service_keys_are_due_after_90_days_where_nothing_is_set(world, clock, admin):
    old = world.key()
    clock.now += 90 * DAY
    assert {one.id: one.faults for one in overdue(world, admin)[0]}[old.id] == ["rotation_age"]
    setting(world, admin, KIND)
    assert old.id not in {one.id for one in overdue(world, admin)[0]}


def test_the_longest_life_of_a_new_one_is_told_beforehand(world, admin):
    assert lifetimes.longest(world.store, admin, KIND) is None
    setting(world, admin, maximum_life="60d")
    setting(world, admin, kind=KIND, maximum_life="30d")
    assert lifetimes.longest(world.store, admin, KIND) == 30 * DAY
    assert lifetimes.longest(world.store, admin, "latchgate.service_key") == 60 * DAY
