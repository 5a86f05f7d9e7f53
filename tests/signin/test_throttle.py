"""How often a password may be guessed, against a model that keeps every guess (ATTACKS D4.27)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latchgate.core.network import parse_address
from latchgate.signin.throttle import (
    ACCOUNT_FAILURES,
    ADDRESS_FAILURES,
    FIRST_WAIT,
    FORGOTTEN_AFTER,
    FREE_FAILURES,
    LONGEST_WAIT,
    Throttle,
)

HERE, THERE = parse_address("192.0.2.1"), parse_address("198.51.100.1")


def guess(throttle: Throttle, times: int, account: str = "n:ada", client=HERE, at: float = 0.0):
    for _ in range(times):
        throttle.guessed(account, client, at)


def test_a_few_mistakes_are_free():
    throttle = Throttle()
    for _ in range(FREE_FAILURES):
        assert throttle.allows("n:ada", HERE, 0.0)
        guess(throttle, 1)
    assert not throttle.allows("n:ada", HERE, 0.0)


def test_then_each_doubles_the_wait_up_to_the_longest():
    throttle, now, waits = Throttle(), 0.0, []
    guess(throttle, FREE_FAILURES - 1)
    for _ in range(14):
        guess(throttle, 1, at=now)
        wait = next(
            one
            for one in (FIRST_WAIT * 2**n for n in range(11))
            if one >= LONGEST_WAIT or throttle.allows("n:ada", HERE, now + one)
        )
        wait = min(wait, LONGEST_WAIT)
        assert not throttle.allows("n:ada", HERE, now + wait - 0.001)
        assert throttle.allows("n:ada", HERE, now + wait)
        waits.append(wait)
        now += wait
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900]


def test_d4_27_guessing_elsewhere_locks_nobody_out_here_until_the_accounts_limit():
    throttle = Throttle()
    guess(throttle, ACCOUNT_FAILURES - 1, client=THERE)
    assert throttle.allows("n:ada", HERE, 0.0)
    guess(throttle, 1, client=THERE)
    assert not throttle.allows("n:ada", HERE, 0.0)
    assert throttle.allows("n:ada", HERE, LONGEST_WAIT)


def test_one_address_may_not_try_ever_new_accounts():
    throttle = Throttle()
    for number in range(ADDRESS_FAILURES):
        assert throttle.allows(f"n:{number}", HERE, 0.0)
        guess(throttle, 1, f"n:{number}")
    assert not throttle.allows("n:another", HERE, 0.0)
    assert throttle.allows("n:another", THERE, 0.0)


def test_a_subscribers_whole_ipv6_network_is_one_address():
    throttle = Throttle()
    guess(throttle, FREE_FAILURES, client=parse_address("2001:db8:0:1::1"))
    assert not throttle.allows("n:ada", parse_address("2001:db8:0:1:ffff::2"), 0.0)
    assert throttle.allows("n:ada", parse_address("2001:db8:0:2::1"), 0.0)


def test_who_comes_from_nowhere_known_is_counted_as_one():
    throttle = Throttle()
    guess(throttle, FREE_FAILURES, client=None)
    assert not throttle.allows("n:ada", None, 0.0)
    assert throttle.allows("n:ada", HERE, 0.0)


def test_a_success_forgets_the_accounts_failures_and_leaves_the_addresses_others():
    throttle = Throttle()
    for number in range(ADDRESS_FAILURES - 1):
        guess(throttle, 1, f"n:{number}")
    guess(throttle, 1, "n:mine")
    throttle.succeeded("n:mine", HERE)
    assert throttle.allows("n:mine", HERE, 0.0)
    # Whoever has one account gains no further guesses at others by it.
    guess(throttle, 1, "n:one more")
    assert not throttle.allows("n:and more", HERE, 0.0)


def test_failures_are_forgotten_after_their_time():
    throttle = Throttle()
    guess(throttle, 20)
    assert not throttle.allows("n:ada", HERE, LONGEST_WAIT - 1)
    assert throttle.allows("n:ada", HERE, FORGOTTEN_AFTER)
    guess(throttle, 1, at=FORGOTTEN_AFTER)
    assert throttle.allows("n:ada", HERE, FORGOTTEN_AFTER)


def test_d4_28_names_are_kept_apart_by_their_namespace():
    throttle = Throttle()
    guess(throttle, FREE_FAILURES, "one:ada")
    assert throttle.allows("two:ada", HERE, 0.0)


def test_memory_is_bounded_and_the_oldest_goes_first():
    throttle = Throttle(max_entries=30)
    guess(throttle, FREE_FAILURES, "n:first")
    for number in range(100):
        guess(throttle, 1, f"n:{number}", parse_address(f"10.0.0.{number}"))
    assert len(throttle._counts) == 30
    assert throttle.allows("n:first", HERE, 0.0)


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["guess", "succeed", "ask"]),
        st.sampled_from(["n:a", "n:b", "n:nobody"]),
        st.sampled_from([HERE, THERE, None]),
        st.sampled_from([0.0, 0.5, 1.0, 3.0, 100.0, 1000.0, 4000.0]),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(acts=ACTS)
def test_d4_27_an_account_that_is_not_there_is_throttled_just_as_one_that_is(acts):
    """What is counted is what was typed: renaming an account changes no answer."""
    one, other, now = Throttle(), Throttle(), 0.0
    for act, account, client, later in acts:
        now += later
        for throttle, name in ((one, account), (other, account.upper() + " that never was")):
            if act == "guess":
                throttle.guessed(name, client, now)
            elif act == "succeed":
                throttle.guessed(name, client, now)
                throttle.succeeded(name, client)
        renamed = account.upper() + " that never was"
        assert one.allows(account, client, now) == other.allows(renamed, client, now)


@settings(max_examples=150, deadline=None)
@given(acts=ACTS)
def test_waiting_always_helps_and_a_refusal_ends(acts):
    throttle, now = Throttle(), 0.0
    for act, account, client, later in acts:
        now += later
        if act == "guess":
            throttle.guessed(account, client, now)
        assert throttle.allows(account, client, now + LONGEST_WAIT)


@pytest.mark.parametrize("failures", [0, 1, 4])
def test_asking_counts_nothing(failures):
    throttle = Throttle()
    guess(throttle, failures)
    for _ in range(1000):
        assert throttle.allows("n:ada", HERE, 0.0)
