"""Facts in use: bounded, one by one, and kept through floods of what is used once."""

from __future__ import annotations

import pytest

from latchgate.core.model import Credential, Facts
from latchgate.core.scope import NONE
from latchgate.verify.hot import Derived, Hot


def facts(credential_id, parent_id=None):
    credential = Credential(
        id=credential_id,
        kind="service_key",
        tenant_id="t",
        project_id="p",
        owner_id="u",
        parent_id=parent_id,
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
    )
    return Facts(credential=credential, owner_rights=NONE, parent=None, gap=None, grant=None)


def keep(hot, *names, again=False):
    for name in names:
        hot.keep(facts(name), again=again)


def consistent(hot):
    return (
        set(hot.facts) == set(hot._once) | set(hot._again)
        and not set(hot._once) & set(hot._again)
        and hot._with_parents <= set(hot.facts)
    )


@pytest.mark.parametrize("again", [True, False])
def test_the_oldest_makes_room_one_by_one(again):
    hot = Hot(3)
    keep(hot, "a", "b", "c", again=again)
    keep(hot, "d", again=again)
    assert list(hot.facts) == ["b", "c", "d"]
    assert consistent(hot)


@pytest.mark.parametrize("again", [True, False])
def test_of_many_a_five_hundredth_makes_room_at_once_and_it_is_the_oldest(again):
    hot = Hot(1_024)
    names = [str(number) for number in range(3_000)]
    for done, name in enumerate(names, 1):
        keep(hot, name, again=again)
        assert min(done, 1_023) <= len(hot.facts) <= 1_024
        assert name in hot.facts
    assert list(hot.facts) == names[-len(hot.facts) :]
    assert consistent(hot)


def test_what_is_used_once_pushes_out_nothing_that_came_back():
    hot = Hot(100)
    good = [f"good{number}" for number in range(80)]
    keep(hot, *good, again=True)
    keep(hot, *(f"once{number}" for number in range(10_000)))
    assert set(good) <= set(hot.facts)
    assert len(hot.facts) == 100
    assert consistent(hot)


def test_what_came_back_makes_room_for_others_that_did():
    hot = Hot(100)
    keep(hot, *(f"old{number}" for number in range(100)), again=True)
    keep(hot, *(f"new{number}" for number in range(100)), again=True)
    assert all(name.startswith("new") for name in hot.facts)


def test_what_is_new_has_a_tenth_of_the_places_at_least():
    hot = Hot(100)
    keep(hot, *(f"good{number}" for number in range(100)), again=True)
    keep(hot, *(f"once{number}" for number in range(100)))
    assert sum(name.startswith("once") for name in hot.facts) > 10
    assert consistent(hot)


def test_facts_that_are_made_anew_take_one_place():
    hot = Hot(3)
    for again in (False, True, False):
        hot.keep(facts("a"), again=again)
        assert consistent(hot)
    assert list(hot.facts) == ["a"]


def test_a_changed_credential_takes_all_that_have_a_parent_along():
    hot = Hot(10)
    keep(hot, "a", "b")
    hot.keep(facts("child", "a"), again=False)
    hot.drop("a")
    assert list(hot.facts) == ["b"]
    assert consistent(hot)
    hot.clear()
    assert hot.facts == {}
    assert consistent(hot)


# --- what was made of facts


def attached(hot, name):
    derived = Derived(facts=hot.facts[name])
    assert hot.attach(derived)
    return derived


def lives(hot, derived):
    return derived.live and derived.era is hot.era


def test_what_was_made_of_facts_dies_with_them_and_with_nothing_else():
    hot = Hot(10)
    keep(hot, "a", "b")
    hot.keep(facts("child", parent_id="a"), again=False)
    first, second, other, child = (attached(hot, name) for name in ("a", "a", "b", "child"))
    assert all(lives(hot, one) for one in (first, second, other, child))
    hot.drop("a")
    assert [lives(hot, one) for one in (first, second, other, child)] == [False, False, True, False]
    hot.keep(facts("b"), again=True)  # put together anew
    assert not lives(hot, other)


def test_what_was_made_of_facts_dies_when_they_make_room_or_all_are_dropped():
    hot = Hot(1)
    keep(hot, "a")
    one = attached(hot, "a")
    keep(hot, "b")
    other = attached(hot, "b")
    assert (lives(hot, one), lives(hot, other)) == (False, True)
    hot.clear()
    assert not lives(hot, other)
    assert not lives(Hot(1), other)


def test_nothing_is_attached_to_facts_that_are_not_there():
    hot = Hot(10)
    stranger = Derived(facts=facts("a"))
    assert not hot.attach(stranger)
    keep(hot, "a")  # equal facts, but not the very ones
    assert not hot.attach(stranger)
    assert not stranger.live


@pytest.mark.parametrize("which", range(3))
def test_what_is_detached_is_dead_and_the_others_die_later(which):
    hot = Hot(10)
    keep(hot, "a")
    made = [attached(hot, "a") for _ in range(3)]
    hot.detach(made[which])
    hot.detach(made[which])
    assert [lives(hot, one) for one in made] == [number != which for number in range(3)]
    hot.drop("a")
    assert not any(lives(hot, one) for one in made)
