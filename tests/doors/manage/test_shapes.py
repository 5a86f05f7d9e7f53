"""How receipts are shown."""

from __future__ import annotations

import msgspec
import pytest

from latchgate.doors.manage import shapes
from latchgate.store.bell import Listener
from latchgate.verify.receipt import Receipt, unwaited


def test_a_receipt_lists_who_dropped_it_and_who_did_not():
    receipt = Receipt(
        journal=7,
        elapsed=0.001_234_5,
        acknowledged=(Listener(0xABC, 11, 7, 0),),
        lapsed=(Listener(0xDEF, 12, 6, 0),),
    )
    shown = shapes.receipt_shape(receipt, 1_000.0)
    assert (shown.journal, shown.at) == (7, "1970-01-01T00:16:40Z")
    assert shown.elapsed_ms == pytest.approx(1.234, abs=0.001)
    assert (shown.known, shown.waited) == (True, True)
    assert [msgspec.structs.astuple(one)[:3] for one in shown.verifiers] == [
        ("0000000000000abc", 11, "acknowledged"),
        ("0000000000000def", 12, "lapsed"),
    ]


def test_one_that_was_not_waited_for_names_nobody():
    shown = shapes.receipt_shape(unwaited(7), 1_000.0)
    assert (shown.journal, shown.verifiers, shown.known, shown.waited) == (7, [], False, False)
