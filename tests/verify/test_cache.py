"""The laws of what a verifier remembers (ARCHITECTURE §6 rules 4 and 6), against a model."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from msgspec import structs
from tests.world import World

from latchgate.core.model import Credential, Facts, Noun, Tenant
from latchgate.core.scope import NONE
from latchgate.verify.cache import MISSING, Cache
from latchgate.verify.known import Known

IDS = [f"t{number}" for number in range(6)]
KEYS = [(Noun.TENANT, name) for name in IDS]
CREDENTIAL_IDS = [f"c{number}" for number in range(4)]
ALL_KEYS = KEYS + [(Noun.CREDENTIAL, name) for name in CREDENTIAL_IDS]
NOUN_KEYS = st.sampled_from(ALL_KEYS)


def tenant(name, version=0):
    return Tenant(id=name, name=f"version {version}", active=True)


def credential(name, version=0):
    return Credential(
        id=name,
        kind="service_key",
        tenant_id="t",
        project_id="p",
        owner_id="u",
        parent_id=None,
        services=None,
        scopes=NONE,
        networks=None,
        issues=False,
        environment=None,
        external_id=None,
        digest=b"",
        created_at=0.0,
        expires_at=None,
        revoked_at=None,
        name=f"version {version}",
    )


def record(name, version=0):
    return (Noun.TENANT, name), tenant(name, version)


def absent(name):
    return (Noun.TENANT, name), None


class CacheAgainstDatabase(RuleBasedStateMachine):
    """A database with a journal, reads that arrive late and in any order, and one cache.

    Each record's history is kept, so that what the cache answers can be dated: it must be the
    record as it stood at the cache's position or later, never earlier. Now and then all ids of
    credentials are read, a page at a time and each at another number, while all the rest goes on.
    """

    @initialize(
        before=st.integers(0, 3),
        records=st.integers(1, 4),
        absents=st.integers(1, 3),
        changes=st.integers(1, 4),
    )
    def begin(self, before, records, absents, changes):
        self.bounds = records, absents, changes
        self.journal = []
        self.history = {key: [(0, None)] for key in ALL_KEYS}
        for number in range(before):
            self.alter(ALL_KEYS[-1 - number], exists=True)
        self.cache = Cache(
            self.head,
            max_credentials=records,
            max_records=records,
            max_absent=absents,
            max_changes=changes,
        )
        self.learning, self.pages, self.learnt = False, list[list[str]](), Known(0)
        self.told = False
        self.registered = self.head
        self.reads = []
        self.positions = [self.cache.position]

    @property
    def head(self):
        return len(self.journal)

    def at(self, key, number):
        """The record as it stood at a number of the journal."""
        return [value for since, value in self.history[key] if since <= number][-1]

    def alter(self, key, *, exists):
        self.journal.append(key)
        made = tenant if key[0] is Noun.TENANT else credential
        value = made(key[1], self.head) if exists else None
        self.history[key].append((self.head, value))

    @rule(key=NOUN_KEYS, exists=st.booleans())
    def change(self, key, exists):
        self.alter(key, exists=exists)

    @rule(keys=st.lists(NOUN_KEYS, min_size=1, max_size=4, unique=True))
    def read(self, keys):
        self.reads.append((self.head, [(key, self.at(key, self.head)) for key in keys]))

    @precondition(lambda self: self.reads)
    @rule(data=st.data())
    def arrive(self, data):
        """A read reaches the cache, however old it is by now."""
        number, found = self.reads.pop(data.draw(st.integers(0, len(self.reads) - 1)))
        before = {key: self.cache.recall(key) for key in ALL_KEYS}
        self.cache.insert(number, found)
        if all(value is None for _, value in found):
            for key, value in before.items():
                if isinstance(value, Tenant | Credential):
                    assert self.cache.recall(key) == value, "an absent id pushed out a record"

    @precondition(lambda self: self.cache.position < self.head)
    @rule(data=st.data())
    def follow(self, data):
        """Some of the changes that are still unknown arrive, in order and without a gap."""
        position = self.cache.position
        many = data.draw(st.integers(1, self.head - position))
        changes = [(n, self.journal[n - 1]) for n in range(position + 1, position + many + 1)]
        self.cache.derive(facts("anybody"))
        for name in CREDENTIAL_IDS:
            self.cache.derive(of(name))
        assert self.cache.advance(changes) is False
        self.positions.append(self.cache.position)
        assert self.cache.position == position + many
        changed = {name for _, (noun, name) in changes if noun is Noun.CREDENTIAL}
        # What anybody may be part of takes everything along, a credential what is made of it.
        left = {*CREDENTIAL_IDS, FACTS_OF["anybody"].id} - changed
        wanted = left if len(changed) == len({key for _, key in changes}) else set()
        assert set(self.cache.facts) == wanted, "what was derived outlived its position"
        for _, key in changes:
            assert self.cache.recall(key) is MISSING, "a changed record was not evicted"

    @precondition(lambda self: not self.learning)
    @rule()
    def begin_to_know(self):
        """All ids are to be read from here on: what is told of them until then is of before."""
        self.cache.known = None
        self.cache.begin_to_know()
        self.pages, self.learnt = [CREDENTIAL_IDS[:2], CREDENTIAL_IDS[2:]], Known(0)
        self.learning, self.told = True, False

    @precondition(lambda self: self.pages)
    @rule()
    def read_page_of_ids(self):
        page = self.pages.pop()
        there = [one for one in page if self.at((Noun.CREDENTIAL, one), self.head) is not None]
        self.learnt.add_all(there)

    @precondition(lambda self: self.learning and not self.pages)
    @rule(late=st.booleans())
    def end_to_know(self, late):
        if late:
            self.learnt.add_all(self.cache.noted())
        else:
            self.cache.end_to_know(self.learnt)
            self.learning, self.told = False, True

    @precondition(lambda self: self.told)
    @rule(name=st.sampled_from(CREDENTIAL_IDS))
    def an_unknown_id_costs_no_read(self, name):
        if name not in self.learnt:  # it may have been read since, ahead of the journal
            assert self.cache.recall((Noun.CREDENTIAL, name)) is not MISSING

    @invariant()
    def answers_are_never_older_than_the_position(self):
        for key in ALL_KEYS if hasattr(self, "cache") else ():
            found = self.cache.recall(key)
            possible = [self.at(key, n) for n in range(self.cache.position, self.head + 1)]
            assert isinstance(found, type(MISSING)) or found in possible

    @invariant()
    def memory_is_bounded(self):
        if hasattr(self, "cache"):
            records, absents, changes = self.bounds
            assert len(self.cache._records) <= records
            assert len(self.cache._credentials) <= records
            assert len(self.cache._absent) <= absents
            assert len(self.cache._changes) <= changes
            held = len(self.cache._records) + len(self.cache._credentials)
            assert len(self.cache) == held + len(self.cache._absent)

    @invariant()
    def the_floor_covers_what_is_forgotten(self):
        """A change that is no longer remembered must lie at or below the floor."""
        if hasattr(self, "cache"):
            for n in range(self.registered + 1, self.cache.position + 1):
                known = self.cache._changes.get(self.journal[n - 1], 0)
                assert known >= n or self.cache._floor >= n


CacheAgainstDatabase.TestCase.settings = settings(
    max_examples=300, stateful_step_count=40, deadline=None
)
TestCacheAgainstDatabase = CacheAgainstDatabase.TestCase


def facts(credential_id):
    return Facts(
        credential=FACTS_OF[credential_id],
        owner_rights=NONE,
        parent=None,
        gap=None,
        grant=None,
    )


@pytest.fixture(autouse=True, scope="module")
def credentials(tmp_path_factory):
    """Two real credentials, for what is derived from them."""
    world = World(tmp_path_factory.mktemp("cache"))
    for name in ("anybody", "somebody"):
        FACTS_OF[name] = world.acting(world.key()).credential
    yield
    world.close()


FACTS_OF: dict[str, Credential] = {}  # filled by the fixture above


# --- the same laws, told one by one


def test_a_new_cache_knows_nothing():
    cache = Cache(5)
    assert cache.recall(KEYS[0]) is MISSING
    assert (len(cache), cache.position) == (0, 5)


def test_a_record_and_an_absence_are_told_apart():
    cache = Cache(5)
    cache.insert(5, [record("t0"), absent("t1")])
    assert cache.recall(KEYS[0]) == tenant("t0")
    assert cache.recall(KEYS[1]) is None
    assert cache.recall(KEYS[2]) is MISSING


def test_records_of_two_nouns_with_one_id_do_not_meet():
    cache = Cache(5)
    cache.insert(5, [((Noun.USER, "t0"), None)])
    assert cache.recall(KEYS[0]) is MISSING


@pytest.mark.parametrize("found", [record("t0"), absent("t0")])
def test_a_change_evicts_the_record_and_the_absence(found):
    cache = Cache(5)
    cache.insert(5, [found, record("t1")])
    cache.advance([(6, KEYS[0])])
    assert cache.recall(KEYS[0]) is MISSING
    assert cache.recall(KEYS[1]) == tenant("t1")
    assert cache.position == 6


def test_a_read_from_before_a_change_does_not_come_back_after_it():
    # The in-flight positive that is re-inserted after the eviction (ATTACKS D5.43).
    cache = Cache(5)
    cache.advance([(6, KEYS[0])])
    cache.insert(5, [record("t0"), record("t1")])
    assert cache.recall(KEYS[0]) is MISSING
    assert cache.recall(KEYS[1]) == tenant("t1")


def test_a_read_at_the_number_of_the_change_has_seen_it():
    cache = Cache(5)
    cache.advance([(6, KEYS[0])])
    cache.insert(6, [record("t0", 6)])
    assert cache.recall(KEYS[0]) == tenant("t0", 6)


def test_a_read_ahead_of_the_position_may_enter_and_is_evicted_when_the_change_arrives():
    cache = Cache(5)
    cache.insert(7, [record("t0", 7)])
    assert cache.recall(KEYS[0]) == tenant("t0", 7)
    cache.advance([(6, KEYS[1]), (7, KEYS[0])])
    assert cache.recall(KEYS[0]) is MISSING


def test_only_the_last_of_several_changes_of_a_record_counts():
    cache = Cache(5)
    cache.advance([(6, KEYS[0]), (7, KEYS[1]), (8, KEYS[0])])
    cache.insert(7, [record("t0", 6)])
    assert cache.recall(KEYS[0]) is MISSING
    cache.insert(8, [record("t0", 8)])
    assert cache.recall(KEYS[0]) == tenant("t0", 8)


def test_a_read_from_before_registration_is_not_trusted():
    # What changed before the cache existed is not known to it, so its floor is its start.
    cache = Cache(5)
    cache.insert(4, [record("t0")])
    assert cache.recall(KEYS[0]) is MISSING


def test_a_change_that_is_forgotten_raises_the_floor():
    cache = Cache(5, max_changes=2)
    cache.advance([(6, KEYS[0]), (7, KEYS[1]), (8, KEYS[2])])
    cache.insert(5, [record("t0"), record("t3")])
    assert cache.recall(KEYS[0]) is MISSING
    assert cache.recall(KEYS[3]) is MISSING
    cache.insert(6, [record("t0", 6), record("t1")])
    assert cache.recall(KEYS[0]) == tenant("t0", 6)
    assert cache.recall(KEYS[1]) is MISSING


def test_following_nothing_changes_nothing():
    cache = Cache(5)
    cache.insert(5, [record("t0")])
    assert cache.advance([]) is False
    assert cache.recall(KEYS[0]) == tenant("t0")


def test_a_new_policy_is_told():
    cache = Cache(5)
    assert cache.advance([(6, KEYS[0])]) is False
    assert cache.advance([(7, (Noun.POLICY, "2")), (8, KEYS[0])]) is True


def test_changes_may_come_from_any_iterable():
    cache = Cache(5)
    cache.advance(iter([(6, KEYS[0])]))
    assert cache.position == 6


def test_the_oldest_records_make_room_for_new_ones():
    cache = Cache(0, max_records=3)
    for name in IDS[:5]:
        cache.insert(0, [record(name)])
    assert [cache.recall(key) is MISSING for key in KEYS[:5]] == [True, True, False, False, False]


def test_a_flood_of_made_up_ids_pushes_out_no_record():
    cache = Cache(0, max_records=3, max_absent=3)
    cache.insert(0, [record(name) for name in IDS[:3]])
    for number in range(1_000):
        cache.insert(0, [((Noun.CREDENTIAL, f"made-up-{number}"), None)])
    assert all(cache.recall(key) is not MISSING for key in KEYS[:3])
    assert len(cache) == 6


def test_what_is_derived_lasts_until_the_position_moves():
    cache = Cache(0)
    cache.derive(facts("anybody"))
    assert list(cache.facts) == [FACTS_OF["anybody"].id]
    cache.advance([])
    assert cache.facts
    cache.advance([(1, KEYS[0])])
    assert cache.facts == {}


def of(credential_id, parent=None):
    credential = structs.replace(FACTS_OF["anybody"], id=credential_id, parent_id=parent)
    return structs.replace(facts("anybody"), credential=credential)


@pytest.fixture
def family():
    """A cache with facts of two credentials that stand alone and two that have a parent."""
    cache = Cache(0)
    for one in (of("a"), of("b"), of("child", "a"), of("grandchild", "child")):
        cache.derive(one)
    return cache


@pytest.mark.parametrize("noun", [Noun.USER, Noun.TENANT, Noun.PROJECT, Noun.ROLE])
def test_a_change_of_whom_credentials_belong_to_takes_everything_derived_along(family, noun):
    family.advance([(1, (noun, "x"))])
    assert family.facts == {}


def test_a_change_of_a_credential_takes_what_was_derived_from_it_along(family):
    family.advance([(1, (Noun.CREDENTIAL, "a"))])
    assert "a" not in family.facts
    # Whoever has a parent may have it above: all of them are looked at anew.
    assert "child" not in family.facts
    assert "grandchild" not in family.facts


def test_a_change_of_a_stranger_takes_no_credential_that_has_a_parent_on_trust(family):
    family.advance([(1, (Noun.CREDENTIAL, "stranger"))])
    assert not {"child", "grandchild"} & set(family.facts)


def test_what_is_derived_again_goes_again(family):
    for number in (1, 2):
        family.advance([(number, (Noun.CREDENTIAL, "a"))])
        assert not {"a", "child"} & set(family.facts)
        family.derive(of("a"))
        family.derive(of("child", "a"))
    family.advance([(3, (Noun.POLICY, "2")), (4, (Noun.CREDENTIAL, "a"))])
    assert not {"a", "child"} & set(family.facts)


def known(*names):
    made = Known(0)
    made.add_all(names)
    return made


def test_where_all_ids_are_known_an_absent_one_needs_no_read_and_no_room():
    cache = Cache(0)
    cache.begin_to_know()
    cache.end_to_know(known("a"))
    assert cache.recall((Noun.CREDENTIAL, "a")) is MISSING
    assert cache.recall((Noun.CREDENTIAL, "b")) is None
    assert cache.recall((Noun.USER, "b")) is MISSING
    assert len(cache) == 0


def test_a_credential_made_while_ids_are_read_or_after_is_not_told_absent():
    cache = Cache(0)
    cache.begin_to_know()
    cache.advance([(1, (Noun.CREDENTIAL, "during"))])
    cache.end_to_know(known("a"))
    cache.advance([(2, (Noun.CREDENTIAL, "after"))])
    assert cache.recall((Noun.CREDENTIAL, "during")) is MISSING
    assert cache.recall((Noun.CREDENTIAL, "after")) is MISSING
    assert cache.recall((Noun.CREDENTIAL, "never")) is None


def test_ids_that_could_not_be_read_are_told_by_nobody():
    cache = Cache(0)
    cache.begin_to_know()
    cache.end_to_know(None)
    assert cache.recall((Noun.CREDENTIAL, "a")) is MISSING


def test_more_ids_than_were_thought_of_are_read_again():
    cache = Cache(0)
    cache.begin_to_know()
    cache.end_to_know(known("a"))
    cache.advance([(n, (Noun.CREDENTIAL, f"k{n}")) for n in range(1, 7_000)])
    assert cache.known is None
    assert cache.recall((Noun.CREDENTIAL, "never")) is MISSING


def derived(cache, number, name):
    """Have a credential read and its facts made, as a decision does."""
    cache.recall((Noun.CREDENTIAL, name))
    cache.insert(number, [((Noun.CREDENTIAL, name), credential(name))])
    cache.derive(of(name))


def test_good_keys_stay_through_a_flood_of_keys_that_are_used_once():
    cache = Cache(0, max_credentials=300, max_facts=100)
    good = [f"good{number}" for number in range(50)]
    for name in good:
        derived(cache, 0, name)
    for number in range(100):  # pushed out once: from then on they are known
        derived(cache, 0, f"first{number}")
    for name in good:
        assert cache.recall((Noun.CREDENTIAL, name)) is not MISSING
        cache.derive(of(name))
    for number in range(5_000):
        derived(cache, 0, f"once{number}")
    assert all(name in cache.facts for name in good)
    # Where many in use are the oldest at once, some of their records go; their facts stay.
    left = [name for name in good if cache.recall((Noun.CREDENTIAL, name)) is not MISSING]
    assert len(left) >= len(good) // 2
    assert len(cache.facts) <= 100


def test_what_is_derived_is_bounded():
    cache = Cache(0, max_facts=1)
    cache.derive(facts("anybody"))
    cache.derive(facts("somebody"))
    assert list(cache.facts) == [FACTS_OF["somebody"].id]
