"""What would help: something for each reason, whatever little is known of the decision."""

from __future__ import annotations

import pytest

from latchgate.core import remedy as remedies
from latchgate.core.reason import Reason
from latchgate.core.remedy import named, remedy


def test_every_reason_has_a_remedy():
    assert set(remedies._REMEDIES) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_a_decision_that_ended_early_has_a_remedy_all_the_same(reason):
    kept = {"reason": str(reason), "steps": [], "scope": "storage:read", "client": "192.0.2.1"}
    said = remedy(kept | {"method": "GET", "path": "/v1/storage"})
    assert said.endswith(".")
    assert said[0].isupper()


def test_the_records_that_a_change_may_be_made_at_are_named_by_what_they_are():
    steps = [
        {"step": "state", "ok": True, "facts": [None, None, 1.0, None, "k-2"]},
        {"step": "owner", "ok": True, "facts": ["u-1", "t-1"]},
        {"step": "application", "ok": False, "facts": ["a-1", "u-1", "application_blocked"]},
    ]
    assert named({"steps": steps}) == {"owner": "u-1", "application": "a-1", "successor": "k-2"}
    steps[0]["facts"] = [None, None, 1.0]  # as older versions kept it
    assert named({"steps": steps[:2]}) == {"owner": "u-1"}
    assert named({"steps": []}) == {}
