"""What can go wrong with the database, as those who catch it tell it apart."""

from __future__ import annotations

import pytest

from latchgate.store.errors import (
    ConflictError,
    NotMigratedError,
    OutcomeUnknownError,
    StoreError,
)


@pytest.mark.parametrize("error", [OutcomeUnknownError, NotMigratedError])
def test_whoever_catches_a_fault_of_the_store_catches_every_sort(error):
    assert issubclass(error, StoreError)


def test_a_conflict_is_the_callers_and_no_fault_of_the_store():
    assert not issubclass(ConflictError, StoreError)
    assert ConflictError("taken").detail == str(ConflictError("taken")) == "taken"
