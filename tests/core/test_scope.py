from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.worlds import FUZZ

from latchgate.core.scope import ALL, EVERY, NONE, SCOPE_PATTERN, Scopes

UNIVERSE = ("a:r", "a:w", "b:r", "b:w")
SETS = st.one_of(st.just(ALL), st.frozensets(st.sampled_from(UNIVERSE)).map(Scopes.of))


def held(scopes: Scopes) -> frozenset[str]:
    """Return what a set holds of the universe, asked one by one."""
    return frozenset(name for name in UNIVERSE if name in scopes)


def test_d5_39_an_empty_list_means_none_and_never_all():
    for empty in (NONE, Scopes.of([]), Scopes.of(()), Scopes.of(frozenset())):
        assert held(empty) == frozenset()
        assert EVERY not in empty
        assert not empty.every
        assert empty.listed() == []


@pytest.mark.parametrize("names", [["*"], ["a:r", "*"], ("*", "*")])
def test_only_the_star_means_every_scope(names):
    assert Scopes.of(names) == ALL
    assert held(ALL) == frozenset(UNIVERSE)
    assert "never:heard" in ALL
    assert ALL.listed() == ["*"]


@pytest.mark.parametrize("near", ["a:*", "*:r", "**", "a:", "a", " *", "a:r*", "A:R", "all", ""])
def test_nothing_that_only_looks_like_a_star_widens_a_set(near):
    found = Scopes.of([near])
    assert not found.every
    assert held(found) == frozenset()


@FUZZ
@given(one=SETS, other=SETS)
def test_meeting_and_joining_are_those_of_sets(one, other):
    assert held(one & other) == held(one) & held(other)
    assert held(one | other) == held(one) | held(other)
    assert one & other == other & one
    assert one | other == other | one


@FUZZ
@given(one=SETS, other=SETS)
def test_meeting_never_widens_either_side(one, other):
    met = one & other
    assert one.lacking(met) == []
    assert other.lacking(met) == []
    assert met.every == (one.every and other.every)


@FUZZ
@given(one=SETS, wanted=SETS)
def test_what_is_lacking_is_exactly_what_is_wanted_and_not_held(one, wanted):
    lacking = one.lacking(wanted)
    if wanted.every:
        assert lacking == ([] if one.every else ["*"])
    else:
        assert lacking == sorted(held(wanted) - held(one))


@FUZZ
@given(scopes=SETS)
def test_what_is_listed_builds_the_same_set_again(scopes):
    assert Scopes.of(scopes.listed()) == scopes
    assert scopes.listed() == sorted(scopes.listed())


@pytest.mark.parametrize("name", ["storage:read", "manage:keys.read", "a:b", "llm-2:x-y_z.1"])
def test_names_of_scopes_are_service_colon_action(name):
    assert SCOPE_PATTERN.fullmatch(name)


NO_NAMES = ["", "*", "storage", ":read", "storage:", "Storage:read", "storage:Read", "a:b:c"]
NO_NAMES += ["a: b", "a:*", "1a:b", "a:1", "a:b\n", "a:" + "b" * 65, "a" * 33 + ":b", "a:b,c"]
NO_NAMES += ["a:é", 'a:b"']


@pytest.mark.parametrize(
    "name",
    NO_NAMES,
)
def test_anything_else_is_no_name_of_a_scope(name):
    assert not SCOPE_PATTERN.fullmatch(name)


def test_sets_are_values_that_can_be_keys():
    assert len({Scopes.of(["a:r", "b:r"]), Scopes.of(["b:r", "a:r", "a:r"]), ALL, NONE}) == 3
