"""Narrowing takes and never gives, and says when nobody can know yet what is needed."""

from __future__ import annotations

import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.world import FILES, World, asking, chain_faults, compiled

from latchgate.core.redact import redactor
from latchgate.core.scope import Scopes
from latchgate.manage import keys, narrowing, tokens
from latchgate.manage.errors import InvalidError, NotFoundError, StaleError
from latchgate.manage.listing import Query
from latchgate.manage.narrowing import NarrowSpec
from latchgate.manage.records import IfMatch
from latchgate.manage.tokens import TokenSpec
from latchgate.store.recorder import Usage
from latchgate.store.usage import UsageReader

pytestmark = pytest.mark.both_databases

DAY = 86_400.0
NOW = 1_800_000_000.0
POLICY = compiled(FILES, 1)
STORAGE = ["storage:delete", "storage:read", "storage:write"]


class Used:
    """A database at a time that is set, with what is decided in it written down."""

    def __init__(self, folder):
        self.now = NOW - 200 * DAY
        self.world = World(folder, clock=lambda: self.now)
        self.reader = UsageReader(self.world.usage_database)
        self.recorder = Usage(
            self.world.usage_database,
            redact=redactor(),
            ticks=lambda: 0.0,
            clock=lambda: self.now,
        )
        self.engine = self.world.engine(clock=lambda: self.now, on_decision=self.recorder.note)

    def use(self, at, key, **how):
        self.now = at
        allowed = self.engine.decide(asking(key, **how)).allowed
        self.recorder.flush()
        self.now = NOW
        return allowed

    def unused(self, key, days=90, by=None):
        who = self.world.acting(by or self.world.admin)
        where = (self.world.store, self.reader, POLICY, who, key.id)
        return narrowing.unused(*where, days=days, now=NOW)

    def listed(self, by=None, **query):
        who = self.world.acting(by or self.world.admin)
        where = (self.world.store, self.reader, POLICY, who)
        return narrowing.listed(*where, Query(**query), now=NOW)

    def narrow(self, key, by=None, match=None, **spec):
        who = self.world.acting(by or self.world.admin)
        where = (self.world.store, self.reader, POLICY, who, key.id, NarrowSpec(**spec))
        more = {"match": match} if match is not None else {}
        return narrowing.narrow(*where, now=NOW, **more)

    def faults(self, key, **spec):
        before = self.world.head()
        with pytest.raises(InvalidError) as refused:
            self.narrow(key, **spec)
        assert self.world.head() == before
        return dict(refused.value.faults)

    def close(self):
        self.recorder.close()
        self.reader.close()
        self.world.close()


@pytest.fixture
def used(tmp_path):
    made = Used(tmp_path)
    yield made
    made.close()


@pytest.fixture
def key(used):
    """A key made 200 days ago, which read 100 days ago and wrote yesterday."""
    made = used.world.key("storage", scopes=STORAGE)
    assert used.use(NOW - 199 * DAY, made, method="DELETE")
    assert used.use(NOW - 100 * DAY, made)
    assert used.use(NOW - DAY, made, method="PUT")
    return made


def test_what_was_not_used_in_time_is_told(used, key):
    found = used.unused(key)
    assert (found.scopes, found.unused) == (STORAGE, ["storage:delete", "storage:read"])
    assert (found.every, found.young, found.proven) == (False, False, True)
    assert used.unused(key, days=150).unused == ["storage:delete"]
    long = used.unused(key, days=250)
    assert (long.unused, long.young, long.proven) == ([], True, False)


def test_a_refused_request_is_no_use(used):
    one = used.world.key("storage", scopes=["storage:read", "storage:write"], networks=["10.0.0.1"])
    assert not used.use(NOW - DAY, one)
    assert used.unused(one, days=1).unused == ["storage:read", "storage:write"]


def test_the_unused_is_taken_and_the_used_still_opens(used, key):
    found, n = used.narrow(key, unused_days=90)
    assert (found.scopes, found.removed) == (["storage:write"], ["storage:delete", "storage:read"])
    assert (found.changed, found.version) == (True, n)
    assert used.use(NOW, key, method="PUT")
    assert not used.use(NOW, key)
    row = used.world.journal()[-1]
    assert (row.n, row.action, row.record) == (n, "key.narrow", key.id)
    assert chain_faults(used.world.database) == []
    again, same = used.narrow(key, unused_days=90)
    assert (again.removed, same) == ([], n)


def test_what_stands_below_needs_the_scopes_that_it_uses(used, key):
    child = used.world.key("storage", scopes=["storage:read"], parent=key)
    grandchild = used.world.key("storage", scopes=["storage:delete"], parent=child)
    assert used.use(NOW - DAY, child)
    assert not used.use(NOW - DAY, grandchild, method="DELETE")  # its parent may not
    assert used.unused(key).unused == ["storage:delete"]
    (listed,) = [one for one in used.listed()[0] if one.id == key.id]
    assert listed.unused == ["storage:delete"]
    assert used.narrow(key, unused_days=90)[0].removed == ["storage:delete"]
    assert used.use(NOW, child)


def test_a_key_with_every_scope_keeps_what_it_used(used):
    one = used.world.key("storage", "llm", scopes=["*"])
    used.use(NOW - 199 * DAY, one, method="DELETE")
    used.use(NOW - DAY, one)
    found = used.unused(one)
    assert found.every
    assert {"storage:write", "storage:delete"} <= set(found.unused)
    assert used.narrow(one, unused_days=90)[0].scopes == ["storage:read"]
    assert not used.unused(one).every


def test_a_token_is_narrowed_alike_and_scopes(used):
    world = used.world
    made, _, _ = tokens.create(
        world.store,
        POLICY,
        world.acting(world.admin),
        TokenSpec(name="t", expires_in="7d"),
        now=used.now,
        entropy=secrets.token_bytes,
    )
    used.now = NOW
    found, _ = used.narrow(made, scopes=["storage:read"])
    assert found.scopes == ["storage:read"]
    assert tokens.shown(world.store, POLICY, world.acting(world.admin), made.id).scopes == [
        "storage:read"
    ]


def test_nothing_is_ever_added(used):
    one = used.world.key("storage", scopes=["storage:read"], networks=["10.0.0.0/24"])
    assert "storage:write" in used.faults(one, scopes=["storage:read", "storage:write"])["scopes"]
    assert "does not hold *" in used.faults(one, scopes=["*"])["scopes"]
    wide = used.faults(one, allowed_ip_ranges=["10.0.0.0/23"])
    assert wide["allowed_ip_ranges"].startswith("it may be used from 10.0.0.0/24 only")
    assert used.narrow(one, allowed_ip_ranges=["10.0.0.7"])[0].allowed_ip_ranges == ["10.0.0.7/32"]
    assert "not an IP address" in used.faults(one, allowed_ip_ranges=["x"])["allowed_ip_ranges"]


@given(st.sets(st.sampled_from(STORAGE)), st.sets(st.sampled_from([*STORAGE, "llm:chat", "*"])))
@settings(max_examples=25, deadline=None)
def test_what_is_left_was_held_whatever_is_asked(tmp_path_factory, held, asked):
    used = Used(tmp_path_factory.mktemp("used"))
    try:
        one = used.world.key("storage", scopes=sorted(held))
        try:
            left = used.narrow(one, scopes=sorted(asked), to_nothing=True)[0].scopes
        except InvalidError:
            left = used.unused(one).scopes
            assert left == sorted(held)
        assert set(left) <= held
    finally:
        used.close()


def test_narrowing_to_nothing_must_be_said(used, key):
    assert "set to_nothing" in used.faults(key, scopes=[])["scopes"]
    assert used.narrow(key, scopes=[], to_nothing=True)[0].scopes == []
    assert not used.use(NOW, key, method="PUT")


def test_what_is_not_proven_needs_force(used):
    young = used.world.key("storage")
    used.use(NOW - 199 * DAY, young, method="PUT")
    used.now = NOW - 5 * DAY
    fresh = used.world.key("storage")
    assert "younger than 90 days" in used.faults(fresh, unused_days=90)["unused_days"]
    assert "nothing would be left" in used.faults(fresh, unused_days=90, force=True)["scopes"]
    assert used.narrow(fresh, unused_days=90, force=True, to_nothing=True)[0].scopes == []


def test_counts_that_begin_too_late_prove_nothing(used):
    one = used.world.key("storage")
    assert used.unused(one).counted_since is None
    used.use(NOW - 30 * DAY, one)
    assert not used.unused(one).proven
    assert "not counted for 90 days" in used.faults(one, unused_days=90)["unused_days"]
    assert used.unused(one, days=20).proven
    assert used.narrow(one, unused_days=90, force=True)[0].scopes == ["storage:read"]


def test_a_dry_run_changes_nothing(used, key):
    before = used.world.head()
    found, _ = used.narrow(key, unused_days=90, dry_run=True)
    assert (found.scopes, found.changed) == (["storage:write"], False)
    assert used.world.head() == before
    assert used.unused(key).scopes == STORAGE


@pytest.mark.parametrize("spec", [{}, {"scopes": [], "unused_days": 9}, {"force": True}])
def test_what_shall_be_left_must_be_said_once(used, key, spec):
    assert used.faults(key, **spec) == {"scopes": "give the scopes to keep, or unused_days"}


def test_a_revoked_key_and_another_version_are_left_alone(used, key):
    with pytest.raises(StaleError):
        used.narrow(key, match=IfMatch(frozenset({1})), scopes=["storage:read"])
    used.world.revoke(key)
    assert "is revoked" in used.faults(key, scopes=["storage:read"])["key"]


def test_other_tenants_neither_see_nor_narrow(used, key):
    stranger = used.world.key("manage", owner=used.world.somebody())
    with pytest.raises(NotFoundError):
        used.unused(key, by=stranger)
    with pytest.raises(NotFoundError):
        used.narrow(key, by=stranger, scopes=["storage:read"])
    assert [one.id for one in used.listed(by=stranger)[0]] == [stranger.id]


def test_the_tenants_credentials_are_listed_in_pages(used, key):
    gone = used.world.key("storage")
    used.world.revoke(gone)
    found, following = used.listed()
    assert following is None
    ids = [one.id for one in found]
    assert key.id in ids
    assert gone.id not in ids
    paged, mark = [], None
    while True:
        page, mark = used.listed(limit=1, after=mark, filters={"days": "90"})
        paged += [one.id for one in page]
        if mark is None:
            break
    assert paged == ids
    with pytest.raises(InvalidError, match="whole number of days"):
        used.listed(filters={"days": "0"})


def test_rights_of_another_key_prove_nothing(used, key):
    other = used.world.key("storage")
    assert used.use(NOW - DAY, other, method="DELETE")
    assert "storage:delete" in used.unused(key).unused
    assert Scopes.of(used.unused(other, days=10).unused) == Scopes.of(
        ["storage:read", "storage:write"]
    )


def test_who_reaches_their_own_keys_alone_narrows_no_other(used):
    world, owner = used.world, used.world.somebody()
    other = world.key(owner=world.somebody(tenant_id=owner.tenant_id), scopes=STORAGE)
    actor = world.acting(world.key("own", owner=owner), Scopes.of(["own:keys.write"]))
    reach = keys.reach(actor, "write")
    where = (world.store, used.reader, POLICY, actor, other.id)
    with pytest.raises(NotFoundError):
        narrowing.unused(*where, *reach, days=90, now=NOW)
    with pytest.raises(NotFoundError):
        narrowing.narrow(*where, NarrowSpec(scopes=STORAGE[:1]), *reach, now=NOW)
