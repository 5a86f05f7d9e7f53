"""What would help: something for each reason, whatever little is known of the decision."""

from __future__ import annotations

import pytest

from latchgate.core import remedy as remedies
from latchgate.core.reason import Reason
from latchgate.core.remedy import remedy


def test_every_reason_has_a_remedy():
    assert set(remedies._REMEDIES) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_a_decision_that_ended_early_has_a_remedy_all_the_same(reason):
    kept = {"reason": str(reason), "steps": [], "scope": "storage:read", "client": "192.0.2.1"}
    said = remedy(kept | {"method": "GET", "path": "/v1/storage"})
    assert said.endswith(".")
    assert said[0].isupper()
