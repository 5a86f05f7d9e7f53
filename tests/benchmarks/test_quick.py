"""Two commits by instructions: what counts as dearer, and how it is told."""

import pytest
from benchmarks import quick


@pytest.mark.parametrize(("after", "found"), [(104.9, []), (105.1, ["accepted"]), (50.0, [])])
def test_more_than_a_twentieth_is_dearer(after, found):
    assert quick.dearer({"accepted": 100.0}, {"accepted": after}) == found


def test_a_question_that_the_base_has_not_is_new_and_never_dearer():
    base, head = {"accepted": 100.0}, {"accepted": 110.0, "long path": 9.0}
    text = quick.text(base, head, names=("main", "HEAD"))
    assert "| accepted | 100 | 110 | +10.0% |" in text
    assert "| long path | – | 9 | new |" in text
    assert text.endswith("DEARER by over 5%: accepted")
