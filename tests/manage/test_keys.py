"""Keys: nobody hands out what they don't hold, and every key stays in its tenant."""

from __future__ import annotations

import random
import secrets
import threading

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.world import FILES, World, asking, chain_faults, compiled

from latchgate.core.kinds.service_key import ENTROPY_BYTES
from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.core.scope import ALL, Scopes
from latchgate.manage import keys
from latchgate.manage.errors import ForbiddenError, InvalidError, NotFoundError, StaleError
from latchgate.manage.idempotency import Once
from latchgate.manage.key_terms import handed_out
from latchgate.manage.keys import KeyPatch, KeySpec
from latchgate.manage.listing import Query
from latchgate.manage.records import IfMatch
from latchgate.store import schema
from latchgate.store.errors import ConflictError

pytestmark = pytest.mark.both_databases

NOW = 1_000_000.0
POLICY: Policy = compiled(FILES, 1)
STORAGE = ["storage:delete", "storage:read", "storage:write"]


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, clock=lambda: NOW)
    yield made
    made.close()


def issue(world, actor=None, *, entropy=secrets.token_bytes, once=None, **asked):
    spec = KeySpec(**({"name": "n", "services": ["storage"]} | asked))
    grant = actor if actor is not None else world.acting(world.admin)
    return keys.issue(world.store, POLICY, grant, spec, now=NOW, entropy=entropy, once=once)


def actor_with(world, *scopes, owner=None, **how):
    return world.acting(world.key("manage", scopes=scopes, owner=owner, **how), Scopes.of(scopes))


def faults_of(call):
    with pytest.raises(InvalidError) as refused:
        call()
    return dict(refused.value.faults)


def count(world):
    return len(world.all(sa.select(schema.credential.c.id)))


# --- issue


def test_a_key_gets_every_scope_of_its_services_unless_told(world):
    key, issued, n = issue(world, services=["storage", "llm"])
    assert key.scopes == ["llm:inference", "llm:models", *STORAGE]
    assert key.services == ["storage", "llm"]
    assert (key.kind, n) == ("wayscloud.service_key", world.head())
    assert issued.secret.reveal().startswith(f"wayscloud_storage_{key.id}_")


def test_the_first_service_spells_the_key(world):
    _, issued, _ = issue(world, services=["llm", "storage"])
    assert issued.secret.reveal().startswith("wayscloud_llm_")


def test_an_empty_list_of_scopes_means_none(world):
    key, issued, _ = issue(world, scopes=[])
    assert key.scopes == []
    headers = {"authorization": f"Bearer {issued.secret.reveal()}"}
    assert world.engine().decide(asking(headers=headers)).reason == "scope_not_granted"


def test_everything_asked_for_is_stored_and_shown(world):
    asked = {
        "name": "Uploader",
        "services": ["storage"],
        "description": "two\nlines",
        "scopes": ["storage:read"],
        "environment": "staging",
        "external_id": "crm/7",
        "metadata": {"team": "blue", "cost centre": "1"},
        "allowed_ip_ranges": ["192.0.2.77/24", "2001:db8::/32", "198.51.100.1"],
        "expires_in": "1h30m",
    }
    made, _, _ = issue(world, **asked)
    shown = keys.shown(world.store, world.acting(world.admin), made.id)
    assert shown == made
    assert shown.allowed_ip_ranges == ["192.0.2.0/24", "2001:db8::/32", "198.51.100.1/32"]
    assert shown.expires_at == NOW + 5_400
    for field in ("name", "description", "scopes", "environment", "external_id", "metadata"):
        assert getattr(shown, field) == asked[field]


def test_absent_and_empty_networks_stay_apart(world):
    assert issue(world)[0].allowed_ip_ranges is None
    assert issue(world, allowed_ip_ranges=[])[0].allowed_ip_ranges == []


def test_owner_project_and_tenant_are_the_actors_own(world):
    owner = world.somebody()
    key, _, _ = issue(world, world.acting(world.key("manage", owner=owner)))
    assert (key.owner_id, key.project_id) == (owner.user_id, owner.project_id)
    row = world.one(sa.select(schema.credential).where(schema.credential.c.id == key.id))
    assert row.tenant_id == owner.tenant_id
    assert key.created_by.startswith(f"user:{owner.user_id} key:")


def test_the_secret_is_stored_as_a_digest_only(world):
    key, issued, _ = issue(world)
    row = world.one(sa.select(schema.credential).where(schema.credential.c.id == key.id))
    assert row.digest == issued.digest
    told = str(tuple(row)) + str(world.journal()) + str(msgspec.structs.asdict(key))
    assert issued.secret.reveal() not in told
    assert issued.secret.reveal().rpartition("_")[2] not in told


def test_the_journal_says_who_made_which_key(world):
    key, _, n = issue(world, name="Uploader")
    row = world.journal()[-1]
    assert (row.n, row.action, row.noun, row.record) == (n, "key.create", "credential", key.id)
    assert row.actor == f"user:{world.owner.user_id} key:{world.admin.id}"
    after = msgspec.json.decode(row.detail)["after"]
    assert (after["name"], after["scopes"]) == ("Uploader", STORAGE)
    assert "digest" not in after


def test_two_keys_of_one_id_are_a_conflict_and_nothing_is_stored(world):
    fixed = bytes(ENTROPY_BYTES)
    issue(world, entropy=lambda _n: fixed)
    before = (world.head(), count(world))
    with pytest.raises(ConflictError):
        issue(world, entropy=lambda _n: fixed)
    assert (world.head(), count(world)) == before


@pytest.mark.parametrize(
    ("asked", "field", "says"),
    [
        ({"services": ["nothing"]}, "services", "unknown: nothing"),
        ({"services": ["storage", "nothing"]}, "services", "dns, gpu, identity, llm"),
        ({"services": ["storage", "storage"]}, "services", "twice"),
        ({"services": ["storage", "manage"]}, "services", "latchgate and wayscloud"),
        ({"scopes": ["storage:fly"]}, "scopes", "storage:fly"),
        ({"scopes": ["llm:models"]}, "scopes", "storage:read"),
        ({"scopes": ["*"]}, "scopes", "*"),
        ({"scopes": ["storage:read", "*"]}, "scopes", "*"),
        ({"scopes": [""]}, "scopes", "not among"),
        ({"allowed_ip_ranges": ["300.0.0.1"]}, "allowed_ip_ranges", "300.0.0.1"),
        ({"allowed_ip_ranges": ["192.0.2.0/33"]}, "allowed_ip_ranges", "192.0.2.0/33"),
        ({"allowed_ip_ranges": ["192.0.2.1", ""]}, "allowed_ip_ranges", "''"),
        ({"allowed_ip_ranges": ["192.0.2.010"]}, "allowed_ip_ranges", "192.0.2.010"),
        ({"expires_in": "tomorrow"}, "expires_in", "'tomorrow'"),
        ({"expires_in": ""}, "expires_in", "1h30m"),
        ({"expires_in": "0s"}, "expires_in", "longer than nothing"),
        ({"expires_in": "1m1h"}, "expires_in", "1m1h"),
        ({"expires_in": "101w"*10}, "expires_in", "not a duration"),
        ({"expires_in": "99999w"}, "expires_in", "100 years"),
        ({"expires_at": "yesterday"}, "expires_at", "'yesterday'"),
        ({"expires_at": "2026-12-01T00:00:00"}, "expires_at", "2026-12-01T00:00:00Z"),
        ({"expires_at": "1970-01-01T00:00:01Z"}, "expires_at", "future"),
        ({"expires_at": "9999-12-31T23:59:59-23:59"}, "expires_at", ""),
        ({"expires_in": "1d", "expires_at": "2027-01-01T00:00:00Z"}, "expires_at", "not both"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_named_and_nothing_is_stored(world, asked, field, says):
    before = (world.head(), count(world))
    faults = faults_of(lambda: issue(world, **asked))
    assert list(faults) == [field]
    assert says in faults[field]
    assert (world.head(), count(world)) == before


def test_every_fault_is_told_at_once(world):
    faults = faults_of(
        lambda: issue(
            world, services=["storage", "storage"], scopes=["x:y"], allowed_ip_ranges=["z"],
            expires_in="never",
        )
    )  # fmt: skip
    assert set(faults) == {"services", "scopes", "allowed_ip_ranges", "expires_in"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h", 3_600), ("24h", 86_400), ("7d", 604_800), ("1h30m", 5_400), ("1h30min", 5_400)],
)
def test_durations_as_people_write_them(world, text, seconds):
    assert issue(world, expires_in=text)[0].expires_at == NOW + seconds


def test_without_a_policy_there_is_no_service_to_make_a_key_for(world):
    spec = KeySpec(name="n", services=["storage"])
    actor = world.acting(world.admin)
    faults = faults_of(
        lambda: keys.issue(
            world.store, compiled({}, 0), actor, spec, now=NOW, entropy=secrets.token_bytes
        )
    )
    assert "unknown: storage" in faults["services"]


# --- what an actor may hand out


def test_an_actor_hands_out_exactly_what_it_holds(world):
    actor = actor_with(world, "manage:keys.write", "storage:read")
    assert issue(world, actor, scopes=["storage:read"])[0].scopes == ["storage:read"]
    assert issue(world, actor, scopes=[])[0].scopes == []


@pytest.mark.parametrize("scopes", [None, ["storage:write"], ["storage:read", "storage:write"]])
def test_an_actor_cannot_hand_out_what_it_does_not_hold(world, scopes):
    actor = actor_with(world, "manage:keys.write", "storage:read")
    before = count(world)
    with pytest.raises(ForbiddenError, match="storage:write"):
        issue(world, actor, scopes=scopes)
    assert count(world) == before


def test_a_key_cannot_make_itself_an_operator(world):
    actor = actor_with(world, "manage:keys.write", "manage:keys.read")
    with pytest.raises(ForbiddenError, match=r"operator:policy\.write"):
        issue(world, actor, services=["operator"])


def test_rights_that_the_owner_lost_cannot_be_handed_out(world):
    key = world.key("manage")
    actor = world.acting(key, Scopes.of(["manage:keys.write"]))
    with pytest.raises(ForbiddenError):
        issue(world, actor)


def test_a_key_cannot_outlive_the_one_it_is_made_with(world):
    actor = world.acting(world.key("manage", expires_at=NOW + 3_600), ALL)
    for asked in ({}, {"expires_in": "3601s"}, {"expires_at": "2099-01-01T00:00:00Z"}):
        with pytest.raises(ForbiddenError, match="outlive"):
            issue(world, actor, **asked)
    assert issue(world, actor, expires_in="1h")[0].expires_at == NOW + 3_600
    assert issue(world, actor, expires_in="1m")[0].expires_at == NOW + 60


@settings(max_examples=60, deadline=None)
@given(
    held=st.sets(st.sampled_from(STORAGE)),
    asked=st.one_of(st.none(), st.lists(st.sampled_from(STORAGE), unique=True)),
)
def test_no_key_is_ever_made_with_more_than_its_maker_holds(shared, held, asked):
    actor = world_actor(shared, held)
    try:
        key, _, _ = issue(shared, actor, scopes=asked)
    except ForbiddenError:
        assert not set(STORAGE if asked is None else asked) <= held
    else:
        assert set(key.scopes) <= held
        assert set(key.scopes) == set(STORAGE if asked is None else asked)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("shared"), clock=lambda: NOW)
    yield made
    made.close()


def world_actor(world, held):
    return world.acting(world.admin, Scopes.of(held))


# --- list


def test_keys_are_listed_oldest_first_and_only_those_of_the_tenant(world):
    owner = world.somebody()
    theirs = [world.key(owner=owner) for _ in range(3)]
    world.key()
    found, following = listed(world, world.acting(theirs[0]), limit=10)
    assert {key.id for key in found} == {key.id for key in theirs}
    assert following is None


def listed(world, actor, **asked):
    return keys.listed(world.store, actor, Query(**asked), now=NOW)


def pages(world, actor, limit):
    after, out = None, []
    while True:
        found, after = listed(world, actor, limit=limit, after=after)
        out.append([key.id for key in found])
        assert len(found) <= limit
        if after is None:
            return out


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 9, 1_000])
def test_pages_hold_each_key_once_even_when_all_were_made_at_the_same_moment(world, limit):
    owner = world.somebody()
    made = {world.key(owner=owner).id for _ in range(8)}
    actor = world.acting(world.key("manage", owner=owner))
    found = [one for page in pages(world, actor, limit) for one in page]
    assert len(found) == len(set(found)) == 9
    assert made < set(found)


def test_pages_are_stable_while_keys_are_made_and_revoked(tmp_path):
    now = [NOW]
    world = World(tmp_path, clock=lambda: now[0])
    owner = world.somebody()
    made = []
    for _ in range(9):
        now[0] += 1
        made.append(world.key(owner=owner))
    actor = world.acting(made[0])
    first, after = listed(world, actor, limit=4)
    now[0] += 1
    newer = world.key(owner=owner)
    world.revoke(made[1])
    world.revoke(made[5])
    second, after = listed(world, actor, limit=4, after=after)
    third, end = listed(world, actor, limit=4, after=after)
    assert [key.id for key in [*first, *second, *third]] == [key.id for key in [*made, newer]]
    assert end is None
    world.close()


def test_the_cursor_of_another_tenant_lists_nothing_of_theirs(world):
    one, other = world.somebody(), world.somebody()
    for owner in (one, one, one, other, other, other):
        world.key(owner=owner)
    actor = world.acting(world.key("manage", owner=one))
    stranger = world.acting(world.key("manage", owner=other))
    _, cursor = listed(world, stranger, limit=1)
    found, _ = listed(world, actor, limit=100, after=cursor)
    assert {key.owner_id for key in found} <= {one.user_id}


def test_passwords_and_tokens_of_other_kinds_are_no_keys(world):
    table = schema.credential
    row = world.one(sa.select(table.c.id).where(table.c.kind == "latchgate.account_password"))
    actor = world.acting(world.admin)
    assert row.id not in {key.id for key in listed(world, actor)[0]}
    for refused in (keys.shown, keys.revoke):
        with pytest.raises(NotFoundError):
            refused(world.store, actor, row.id)


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"state": "active"}, {"first token", "a", "b", "d"}),
        ({"state": "expired"}, {"c"}),
        ({"state": "revoked"}, {"e"}),
        ({"service": "llm"}, {"b"}),
        ({"scope": "storage:read"}, {"a", "d"}),
        ({"scope": "storage:read", "environment": "dev"}, {"d"}),
        ({"name": "a"}, {"a"}),
        ({"external_id": "crm/7"}, {"a"}),
        ({"external_id": "crm/"}, set()),
        ({"service": "storage%"}, set()),
    ],
)
def test_filters_are_exact(world, filters, names):
    world.key(name="a", scopes=["storage:read"], external_id="crm/7")
    world.key("llm", name="b", scopes=[])
    world.key(name="c", scopes=[], expires_at=NOW)
    world.key(name="d", scopes=["storage:read"], environment="dev")
    world.revoke(world.key(name="e", scopes=[]))
    found, _ = listed(world, world.acting(world.admin), filters=filters)
    assert {key.name for key in found} == names


# --- change


def test_what_people_read_is_changed_and_nothing_else(world):
    key, actor = world.key(name="old", metadata={"a": "1", "b": "2"}), world.acting(world.admin)
    before = keys.shown(world.store, actor, key.id)
    patch = KeyPatch(name="new", metadata={"a": None, "c": "3"})
    after = keys.change_key(
        world.store, actor, key.id, patch, match=IfMatch(frozenset({before.version}))
    )
    assert (after.name, after.description) == ("new", before.description)
    assert after.metadata == {"b": "2", "c": "3"}
    assert after == keys.shown(world.store, actor, key.id)
    row = world.journal()[-1]
    assert (row.n, row.action) == (after.version, "key.change")
    detail = msgspec.json.decode(row.detail)
    assert (detail["before"]["name"], detail["after"]["name"]) == ("old", "new")
    assert world.engine().decide(asking(key)).allowed


def test_a_patch_that_changes_nothing_writes_nothing(world):
    key, actor = world.key(name="same"), world.acting(world.admin)
    before = world.head()
    for patch in (KeyPatch(), KeyPatch(name="same"), KeyPatch(metadata={"none": None})):
        keys.change_key(world.store, actor, key.id, patch)
    assert world.head() == before
    assert [row.action for row in world.journal()].count("key.change") == 0


def test_a_change_of_another_version_is_refused_and_changes_nothing(world):
    key, actor = world.key(name="old"), world.acting(world.admin)
    stale = IfMatch(frozenset({world.head() - 1}))
    with pytest.raises(StaleError) as refused:
        keys.change_key(world.store, actor, key.id, KeyPatch(name="new"), match=stale)
    assert refused.value.version == keys.shown(world.store, actor, key.id).version
    with pytest.raises(StaleError):
        keys.revoke(world.store, actor, key.id, match=stale)
    assert world.engine().decide(asking(key)).allowed
    assert keys.shown(world.store, actor, key.id).name == "old"


def test_metadata_does_not_grow_past_its_limit_in_two_steps(world):
    full = {str(number): "x" for number in range(keys.MAX_METADATA)}
    key, actor = world.key(metadata=full), world.acting(world.admin)
    faults = faults_of(
        lambda: keys.change_key(world.store, actor, key.id, KeyPatch(metadata={"more": "x"}))
    )
    assert "metadata" in faults
    patch = KeyPatch(metadata={"more": "x", "0": None})
    assert len(keys.change_key(world.store, actor, key.id, patch).metadata) == len(full)


# --- once


def once(key="k", body="b"):
    return Once.of(key, "POST /manage/v1/keys", body)


def test_a_repeated_creation_shows_the_key_as_it_is_now_without_its_secret(world):
    key, issued, _ = issue(world, once=once())
    keys.revoke(world.store, world.acting(world.admin), key.id)
    again, nothing, _ = issue(world, once=once())
    assert issued is not None
    assert nothing is None
    assert (again.id, again.revoked_at) == (key.id, NOW)
    assert count(world) == 3  # the password and the token of the start, and this key


def test_another_request_with_the_same_key_is_refused(world):
    issue(world, once=once())
    assert "Idempotency-Key" in faults_of(lambda: issue(world, once=once(body="c")))


def test_the_same_key_of_another_user_is_another(world):
    other = world.acting(world.key("manage", owner=world.somebody()))
    first, _, _ = issue(world, once=once())
    second, issued, _ = issue(world, other, once=once())
    assert issued is not None
    assert first.id != second.id


def test_a_creation_that_failed_may_be_sent_again(world):
    with pytest.raises(InvalidError):
        issue(world, once=once(), services=["nothing"])
    assert issue(world, once=once())[1] is not None


def test_a_key_for_a_request_is_kept_for_a_day(tmp_path):
    now = [NOW]
    world = World(tmp_path, clock=lambda: now[0])
    actor = world.acting(world.admin)

    def make():
        spec = KeySpec(name="n", services=["storage"])
        how = {"now": now[0], "entropy": secrets.token_bytes, "once": once()}
        return keys.issue(world.store, POLICY, actor, spec, **how)

    first = make()[0].id
    now[0] += 86_399
    assert make()[0].id == first
    now[0] += 1
    assert make()[0].id != first
    assert len(world.all(sa.select(schema.idempotency))) == 1
    world.close()


def test_many_who_send_the_same_creation_at_once_make_one_key(world):
    outcomes = []

    def work():
        try:
            outcomes.append(issue(world, once=once())[0].id)
        except ConflictError:
            outcomes.append("again")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 8
    assert len(set(outcomes) - {"again"}) == 1
    assert count(world) == 3


# --- show


def test_a_key_is_shown_to_its_tenant_only(world):
    own, foreign = world.key(), world.key(owner=world.somebody())
    actor = world.acting(world.admin)
    assert keys.shown(world.store, actor, own.id).id == own.id
    for key_id in (foreign.id, "nothing", "", "%"):
        with pytest.raises(NotFoundError, match="there is no key"):
            keys.shown(world.store, actor, key_id)


# --- revoke


def test_a_revoked_key_keeps_its_moment_and_stands_in_the_journal(world):
    key = world.key(name="Uploader")
    revoked, n = keys.revoke(world.store, world.acting(world.admin), key.id)
    assert revoked.revoked_at == NOW
    row = world.journal()[-1]
    assert (row.n, row.action, row.record) == (n, "key.revoke", key.id)
    assert msgspec.json.decode(row.detail)["after"] == {"revoked_at": NOW}
    assert not world.engine().decide(asking(key)).allowed


def test_revoking_again_changes_nothing_and_rings_again(tmp_path):
    now = [NOW]
    world = World(tmp_path, clock=lambda: now[0])
    key, actor = world.key(), world.acting(world.admin)
    first, n = keys.revoke(world.store, actor, key.id)
    now[0] += 60
    assert world.store.bell is not None
    rings = world.store.bell.rings()
    again, m = keys.revoke(world.store, actor, key.id)
    assert again.revoked_at == first.revoked_at == NOW
    assert (m, world.head()) == (n, n)
    assert world.store.bell.rings() == rings + 1
    world.close()


def test_a_repeated_revoke_is_waited_for_at_the_newest_number(world):
    key, actor = world.key(), world.acting(world.admin)
    _, n = keys.revoke(world.store, actor, key.id)
    world.tenant()
    assert keys.revoke(world.store, actor, key.id)[1] == world.head() == n + 1


def test_nobody_revokes_the_key_of_another_tenant(world):
    foreign, before = world.key(owner=world.somebody()), world.head()
    with pytest.raises(NotFoundError):
        keys.revoke(world.store, world.acting(world.admin), foreign.id)
    assert world.head() == before
    assert world.engine().decide(asking(foreign)).allowed


def test_many_who_revoke_at_once_make_one_row(world):
    key, actor = world.key(), world.acting(world.admin)
    numbers: list[int] = []

    def work():
        numbers.append(keys.revoke(world.store, actor, key.id)[1])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = [row for row in world.journal() if row.action == "key.revoke"]
    assert [row.n for row in rows] == [min(numbers)]
    assert set(numbers) == {min(numbers)}
    assert chain_faults(world.database) == []


def test_a_key_may_revoke_itself(world):
    own = world.key("manage")
    keys.revoke(world.store, world.acting(own), own.id)
    assert not world.engine().decide(asking(own, target="/manage/v1/keys")).allowed


def test_the_journal_of_a_busy_day_adds_up(world):
    actor, order = world.acting(world.admin), random.Random(7)
    alive: list[str] = []
    dead: list[str] = []
    for _ in range(60):
        if alive and order.random() < 0.4:
            dead.append(alive.pop(order.randrange(len(alive))))
            keys.revoke(world.store, actor, dead[-1])
        else:
            alive.append(issue(world)[0].id)
    table = schema.credential
    alive_keys = sa.and_(table.c.revoked_at.is_(None), table.c.kind.like("%.service_key"))
    stands = {row.id for row in world.all(sa.select(table).where(alive_keys))}
    assert set(alive) | {world.admin.id} == stands
    made = {row.record for row in world.journal() if row.action == "key.create"}
    assert made == stands | set(dead)
    assert {row.record for row in world.journal() if row.action == "key.revoke"} == set(dead)
    assert chain_faults(world.database) == []
    assert world.journal()[-1].noun == Noun.CREDENTIAL


# --- whose keys somebody reaches


@pytest.mark.parametrize(
    ("scopes", "reached"),
    [
        (["manage:keys.read"], ["mine", "theirs"]),
        (["own:keys.read"], ["mine"]),
        (["manage:keys.write", "own:keys.write"], []),
    ],
)
def test_rights_to_keys_reach_the_tenants_or_ones_own(world, scopes, reached):
    owner = world.somebody()
    made = {
        "mine": world.key(owner=owner),
        "theirs": world.key(owner=world.somebody(tenant_id=owner.tenant_id)),
        "foreign": world.key(),
    }
    actor = actor_with(world, *scopes, owner=owner)
    clauses = keys.reach(actor, "read")
    found, _ = keys.listed(world.store, actor, Query(), *clauses, now=NOW)
    names = {key.id: name for name, key in made.items()}
    assert sorted(names[one.id] for one in found if one.id in names) == reached
    for name, key in made.items():
        if name in reached:
            shown = keys.shown(world.store, actor, key.id, *clauses)
            assert keys.is_reached(actor, "read", shown)
        else:
            with pytest.raises(NotFoundError):
                keys.shown(world.store, actor, key.id, *clauses)


def test_who_reaches_their_own_keys_alone_changes_no_other(world):
    owner = world.somebody()
    other = world.key(owner=world.somebody(tenant_id=owner.tenant_id))
    actor = actor_with(world, "own:keys.write", owner=owner)
    reach, head = keys.reach(actor, "write"), world.head()
    patch = KeyPatch(name="taken")
    with pytest.raises(NotFoundError):
        keys.change_key(world.store, actor, other.id, patch, *reach)
    with pytest.raises(NotFoundError):
        keys.revoke(world.store, actor, other.id, *reach)
    key = keys.shown(world.store, world.acting(world.key("manage", owner=other.owner)), other.id)
    assert (key.name, keys.is_reached(actor, "write", key)) == ("made by a test", False)
    assert world.head() == head + 1  # the key that looked


def test_services_are_offered_with_the_scopes_that_one_could_hand_out():
    rights = Scopes.of(["storage:read", "storage:write", "manage:keys.read"])
    offered = {one.id: held for one, held in handed_out(POLICY, rights)}
    assert offered == {
        "storage": ("storage:read", "storage:write"),
        "manage": ("manage:keys.read",),
    }
    every = {one.id for one, _ in handed_out(POLICY, ALL)}
    assert {"storage", "llm", "own", "operator"} <= every
    for service, _ in handed_out(POLICY, ALL):
        assert f"{service.provider}.service_key" in POLICY.kinds
    assert handed_out(POLICY, Scopes.of([])) == []
