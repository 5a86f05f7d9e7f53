from __future__ import annotations

import re

import pytest

from latchgate.core.reason import Reason, Step


@pytest.mark.parametrize("words", [Reason, Step])
def test_each_is_one_stable_word_that_is_safe_to_store_and_to_count_by(words):
    values = [str(one) for one in words]
    assert len(set(values)) == len(values)
    for one in words:
        assert re.fullmatch(r"[a-z][a-z_]{1,39}", one)
        assert one.value == one.name.lower()
        assert words(str(one)) is one


@pytest.mark.parametrize("words", [Reason, Step])
def test_each_is_found_in_a_dictionary_by_itself_and_by_its_text(words):
    counted = {one: number for number, one in enumerate(words)}
    for one in words:
        assert counted[one] == counted[str(one)]
