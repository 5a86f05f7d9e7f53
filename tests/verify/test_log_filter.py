"""What Latchgate logs in somebody else's program holds no secret, whatever handlers that has."""

from __future__ import annotations

import logging

import pytest

from latchgate.core.redact import redactor
from latchgate.verify.log_filter import RedactingFilter, attach

SECRET = "abcdefghijklmnop"


@pytest.fixture
def ours():
    logger = logging.getLogger("latchgate.of_a_test")
    yield logger
    logger.filters.clear()


def test_message_arguments_exception_and_stack_are_masked(ours, caplog):
    attach(redactor())
    error = RuntimeError(f"token={SECRET}")
    ours.error("failed with Bearer %s", SECRET, exc_info=error, stack_info=True)
    (record,) = caplog.records
    assert record.getMessage() == "failed with Bearer ***"
    assert (record.args, record.exc_info) == (None, None)
    assert record.exc_text is not None
    assert "RuntimeError: token=***" in record.exc_text
    assert SECRET not in logging.Formatter().format(record)
    assert SECRET not in repr(vars(record))


def test_attaching_twice_masks_once_and_leaves_other_loggers_alone(ours):
    other = logging.getLogger("latchgateway.of_another")
    for _ in range(2):
        attach(redactor())
    assert [type(one) for one in ours.filters] == [RedactingFilter]
    assert other.filters == []
