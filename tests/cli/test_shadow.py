"""`latchgate shadow` and `GET /manage/v1/shadows` where nothing was compared, and wrong calls."""

from __future__ import annotations

import pytest
from tests.world import WAYSCLOUD

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

TABLE = """
[shadows.old]
url = "http://127.0.0.1:9/check"
until = "2020-01-01T00:00:00Z"
"""


@pytest.fixture
def shadowed(server):
    """Publish a policy with an area that has a shadow, and take it back."""
    before = server.call("GET", "/manage/v1/policy").json["files"]
    areas = WAYSCLOUD.replace('path = "/v1/dns"\n', 'path = "/v1/dns"\nshadow = "old"\n', 1)
    assert (
        server.call("PUT", "/manage/v1/policy", {"files": {"w.toml": areas + TABLE}}).status == 200
    )
    yield
    server.call("PUT", "/manage/v1/policy", {"files": before})


def test_an_area_with_a_shadow_is_shown_before_anything_was_compared(server, shadowed):
    done = server.cli("shadow", "show")
    assert (done.code, done.err) == (0, "")
    lines = [line.split(maxsplit=1) for line in done.out.splitlines()]
    assert lines[0] == ["area", "/v1/dns"]
    assert ["until", "2020-01-01T00:00:00Z"] in lines
    assert lines[-1] == ["verdict", "not ready to cut over: nothing was compared yet"]
    (area,) = server.cli("shadow", "show", "--area", "/v1/dns", "--json").json["areas"]
    assert (area["requests"], area["ready"], area["shadow"]) == (0, False, "wayscloud.old")


def test_no_shadow_is_said_and_an_unknown_area_fails(server):
    assert server.cli("shadow", "show").out == "No area has an old system.\n"
    done = server.cli("shadow", "show", "--area", "/v1/nothing")
    assert (done.code, done.out) == (1, "")
    assert "/v1/nothing" in done.err
    assert server.cli("shadow", "show", "--days", "31").code == 2


@pytest.mark.parametrize("query", ["days=0", "days=31", "days=x", "days=1&days=2", "other=1"])
def test_a_wrong_query_is_told(server, query):
    answer = server.call("GET", f"/manage/v1/shadows?{query}")
    assert answer.status == 422
