"""npm's openid-client drives every grant, and is refused every forged and replayed one."""

from __future__ import annotations

import pytest
from tests.clients.installed import NODE_PROGRAMS

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.fixture(scope="module")
def told(stage, tmp_path_factory):
    """What came of the scenario, step by step."""
    return stage.run(
        "node", NODE_PROGRAMS / "openid_client.mjs", home=tmp_path_factory.mktemp("home")
    )


def test_x(told):
    import pprint

    pprint.pprint(told)
    assert 0
