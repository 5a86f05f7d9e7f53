"""When a receipt is due, by what was listed and heard: ARCHITECTURE §6, rules 11 to 15."""

from __future__ import annotations

import pytest
from tests.verify.following import follower, following

from latchgate.verify.receipt import (
    PATIENCE_SECONDS,
    Promise,
    Receipt,
    ReceiptError,
    Wait,
    unwaited,
)

PROMISE = Promise(max_trust=2.0, gateway_tail=0.0)


def listed(*followers, n=9, promise=PROMISE, **more):
    wait = Wait(n, promise, begun=0.0)
    hear(wait, *followers, **more)
    return wait


def hear(wait, *followers, **more):
    now = following(*followers, **more)
    return wait.hear(now, {one.incarnation: one.acknowledged for one in now.followers})


def states(wait):
    _, done, late = wait.known
    return [one.incarnation for one in done], [one.incarnation for one in late]


def test_nobody_to_wait_for_is_due_at_once():
    wait = listed()
    assert (wait.due(), wait.open, wait.known) == (0, False, (True, (), ()))


def test_who_acknowledged_the_number_or_a_later_one_is_not_waited_for():
    wait = listed(follower("a", 9), follower("b", 12))
    assert (wait.due(), states(wait)) == (0, (["a", "b"], []))


def test_a_row_lapses_at_its_own_trust_times_the_rate_of_clocks():
    # Not at the longest of all: rule 12.
    wait = listed(follower("a", 8, trust=2), follower("b", 9, trust=60), max_trust=60)
    assert wait.due() == 2.5
    assert states(wait) == (["b"], ["a"])


def test_the_longest_of_those_that_are_late_counts():
    assert listed(follower("a", 8, trust=2), follower("b", 0, trust=4)).due() == 5.0


def test_what_is_heard_later_shortens_it():
    wait = listed(follower("a", 8, trust=2), follower("b", 8, trust=4))
    hear(wait, follower("a", 8, trust=2), follower("b", 9, trust=4))
    assert wait.due() == 2.5
    hear(wait, follower("a", 10, trust=2), follower("b", 9, trust=4))
    assert (wait.due(), wait.open) == (0, False)


def test_news_that_change_nothing_wake_nobody():
    wait = listed(follower("a", 7, trust=2), follower("b", 9))
    assert not hear(wait, follower("a", 8, trust=2), follower("b", 9))
    assert hear(wait, follower("a", 9, trust=2), follower("b", 9))


def test_who_registers_after_the_listing_does_not_put_it_off():
    wait = listed(follower("a", 8, trust=2))
    hear(wait, follower("a", 8, trust=2), follower("new", 0, trust=60))
    assert wait.due() == 2.5
    assert states(wait) == ([], ["a"])


def test_a_row_that_is_gone_is_not_waited_for():
    wait = listed(follower("a", 8))
    hear(wait)
    assert wait.due() == 0


def test_a_leaving_row_is_waited_for_like_any_other():
    assert listed(follower("a", 8, state="leaving")).due() == 2.5


def test_what_was_acknowledged_once_stays_so_when_the_row_goes_back():
    wait = listed(follower("a", 9))
    hear(wait, follower("a", 0))
    assert wait.due() == 0


@pytest.mark.parametrize(
    "more", [{"settled": False}, {"settled": False, "timeline": "00000002"}], ids=str
)
def test_in_an_unsettled_history_acknowledgements_shorten_nothing(more):
    wait = listed(follower("a", 9, trust=1), max_trust=4, **more)
    assert wait.due() == 5.0
    assert states(wait) == ([], ["a"])


def test_an_unsettled_history_is_waited_for_though_nobody_is_listed():
    # Rows may be lost with what was lost.
    assert listed(max_trust=4, settled=False).due() == 5.0


@pytest.mark.parametrize("more", [{"epoch": "f"}, {"timeline": "00000002"}], ids=str)
def test_a_history_that_changes_meanwhile_takes_back_what_was_acknowledged(more):
    wait = listed(follower("a", 9, trust=1), follower("b", 8, trust=1), max_trust=4)
    hear(wait, follower("b", 9, trust=1), max_trust=4, **more)
    assert wait.due() == 5.0
    hear(wait, follower("b", 9, trust=1), max_trust=4)
    assert wait.due() == 5.0


def test_while_nobody_could_be_listed_the_longest_trust_of_all_is_waited_for():
    wait = Wait(9, Promise(max_trust=8.0, gateway_tail=0.0), begun=0.0)
    wait.fail()
    assert wait.due() == 10.0
    assert wait.known == (False, (), ())


def test_the_first_listing_is_waited_for_even_where_no_trust_is_known():
    wait = Wait(9, Promise(max_trust=0.0, gateway_tail=0.0), begun=0.0)
    assert wait.due() == PATIENCE_SECONDS


def test_a_listing_that_succeeds_at_last_counts():
    wait = Wait(9, PROMISE, begun=0.0)
    wait.fail()
    hear(wait, follower("a", 9))
    assert wait.due() == 0


def test_without_listing_and_promise_there_is_no_receipt():
    wait = Wait(9, None, begun=0.0)
    wait.fail()
    assert wait.due() == PATIENCE_SECONDS
    with pytest.raises(ReceiptError, match="change 9"):
        wait.check()
    hear(wait)
    wait.check()


def test_a_longest_trust_that_shrank_is_not_believed():
    assert listed(promise=Promise(60.0, 0.0), settled=False).due() == 75.0


def test_gateways_are_waited_for_as_was_told_last():
    assert listed(promise=Promise(2.0, 9.0), gateway_tail=3.0).tail == 3.0
    assert Wait(9, Promise(2.0, 9.0), begun=0.0).tail == 9.0


def test_a_history_that_may_lack_a_declaration_shortens_nothing():
    told = Promise(2.0, 9.0)
    assert listed(promise=told, gateway_tail=3.0, settled=False).tail == 9.0
    wait = listed(follower("a", 8), promise=told, gateway_tail=9.0)
    hear(wait, follower("a", 8), gateway_tail=0.0, timeline="00000002")
    assert wait.tail == 9.0


def test_a_receipt_names_each_verifier_with_its_trust():
    late = follower("b", 8, trust=30.0, kind="edge", stale=True)
    receipt = Receipt(9, 0.5, (follower("a", 9),), (late,))
    told = [(one.id, one.kind, one.node, one.trust, one.stale) for one in receipt.verifiers]
    assert told == [("a", "node", "node-a", 2.0, False), ("b", "edge", "node-b", 30.0, True)]
    assert [one.state for one in receipt.verifiers] == ["acknowledged", "lapsed"]


def test_one_that_was_not_waited_for_says_so():
    assert (unwaited(9).waited, unwaited(9).known, unwaited(9).verifiers) == (False, False, ())
