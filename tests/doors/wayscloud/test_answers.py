"""What a database can't hold is told to whoever sent it, by the provider's own word for it."""

from __future__ import annotations

from latchgate.doors.wayscloud.answers import worded
from latchgate.store.errors import UnstorableError


def test_a_text_that_can_not_be_stored_is_an_invalid_parameter():
    answer = worded(UnstorableError("a text holds the character NUL, which can't be stored"))
    assert answer.status_code == 400
    assert b"INVALID_PARAMETER" in answer.body
    assert b"NUL" in answer.body
