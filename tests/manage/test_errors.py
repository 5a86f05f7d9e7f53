"""What a management call can be refused for."""

from __future__ import annotations

import pytest

from latchgate.manage.errors import ForbiddenError, InvalidError, ManageError, NotFoundError


@pytest.mark.parametrize("error", [ForbiddenError, InvalidError, NotFoundError])
def test_every_refusal_is_one_of_management(error):
    assert issubclass(error, ManageError)


def test_every_fault_is_told_in_words_too():
    error = InvalidError([("a", "is bad"), ("b", "is worse")])
    assert str(error) == "a: is bad; b: is worse"
    assert error.faults == [("a", "is bad"), ("b", "is worse")]
