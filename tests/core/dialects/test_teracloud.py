from __future__ import annotations

import json

import pytest

from latchgate.core.dialects.table import TABLE
from latchgate.core.dialects.teracloud import render


@pytest.mark.parametrize("reason", TABLE)
def test_result_is_the_status_and_never_the_0_of_a_success(reason):
    public = TABLE[reason]["teracloud"]
    reply = render(public, (), "")
    told = json.loads(reply.body)
    assert list(told) == ["result", "message"]
    assert told == {"result": public.status, "message": public.text}
    assert told["result"] != 0
    assert reply.headers == (("Content-Type", "application/json"),)
