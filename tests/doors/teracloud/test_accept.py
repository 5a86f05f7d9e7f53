"""Accept, read as RFC 9110 §12.5.1 has it."""

from __future__ import annotations

import pytest

from latchgate.doors.teracloud.accept import takes_json


@pytest.mark.parametrize(
    "accept",
    [
        [],
        [""],
        ["*/*"],
        ["application/json"],
        ["Application/JSON; charset=utf-8"],
        ["text/html, application/*;q=0.1"],
        ["text/html", "*/*; q=0.001"],
        ["*/*;q=0, application/json"],
    ],
)
def test_json_is_taken(accept):
    assert takes_json(accept)


@pytest.mark.parametrize(
    "accept",
    [
        ["text/xml"],
        ["application/json;q=0"],
        ["application/json; q=0.000, */*"],
        ["application/*;q=0, */*"],
        ["*/*;q=0"],
        ["application/jsonp"],
    ],
)
def test_json_is_not_taken(accept):
    assert not takes_json(accept)
