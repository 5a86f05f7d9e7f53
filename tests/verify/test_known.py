"""The ids that exist: every one of them is told, and few others."""

from __future__ import annotations

import secrets
import sys

from hypothesis import given
from hypothesis import strategies as st

from latchgate.verify.known import Known


@given(st.lists(st.text(), max_size=60))
def test_what_was_added_is_there_whatever_came_after_it(ids):
    known = Known(0)
    known.add_all(ids)
    assert all(one in known for one in ids)


def test_absent_ids_are_told_and_three_bytes_an_id_do():
    many = 100_000
    known = Known(many)
    ids = [secrets.token_hex(6) for _ in range(many)]
    known.add_all(ids)
    assert all(one in known for one in ids)
    wrong = sum(secrets.token_hex(7) in known for _ in range(20_000))
    assert wrong < 100, "1 in 600 is taken for one that exists"
    assert sys.getsizeof(known) <= 3 * many + 200
    assert not known.full


def test_it_says_when_it_holds_more_than_it_was_made_for():
    known = Known(10_000)
    known.add_all(str(number) for number in range(14_000))
    before = known.full
    known.add_all(str(number) for number in range(14_000, 16_000))
    assert (before, known.full) == (False, True)
    assert all(str(number) in known for number in range(16_000))


def test_an_id_that_is_added_again_takes_no_room():
    known = Known(0)
    for _ in range(50_000):
        known.add("one")
    assert not known.full
