"""What a program is told when Latchgate itself fails: the provider's words, and nothing of why."""

from __future__ import annotations

import pytest
from tests.asking import basic
from tests.world import Server, http_request

from latchgate.store.sqlite import driver

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

PUBLISHED = "FEF5078EA41D182EEF89A21E034BD680"


@pytest.fixture
def victim(tmp_path):
    made = Server.started(tmp_path / "lg")
    yield made
    made.kill()


def test_a_store_that_fails_is_503_in_json_and_the_log_says_why(victim):
    made = victim.call("POST", "/manage/v1/account/basic", {"login": "alice"}).json
    tenant = victim.call("GET", "/manage/v1/account").json["tenant_id"]
    spec = {"api_key": PUBLISHED, "tenants": [tenant]}
    assert victim.call("PUT", "/manage/v1/applications/test-key", spec).status == 200
    connection = driver.connect(victim.folder / "latchgate.db", timeout=30)
    connection.execute("DROP TABLE storage")
    connection.close()
    headers = {**basic("alice", made["password"]), "X-TeraCLOUD-API-KEY": PUBLISHED}
    answer = http_request("GET", f"{victim.addresses['api']}/ba/user/", headers=headers)
    assert (answer.status, answer.headers["content-type"]) == (503, "application/json")
    assert answer.json == {
        "result": 503,
        "message": "The service is temporarily unavailable.",
    }
    assert "no such table: storage" in victim.log
    assert made["password"] not in victim.log
