"""A creation sent twice with one Idempotency-Key makes one record, whatever the noun."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

CREATIONS: dict[str, dict[str, Any]] = {
    "users": {"name": "twice"},
    "projects": {"name": "twice"},
    "roles": {"name": "twice", "scopes": ["storage:read"]},
    "keys": {"name": "twice", "services": ["storage"]},
}


@pytest.mark.parametrize("noun", CREATIONS)
def test_a_repeat_answers_what_the_first_one_made_and_shows_no_secret(server, noun):
    path, spec, once = f"/manage/v1/{noun}", CREATIONS[noun], {"Idempotency-Key": f"once-{noun}"}
    before = len(server.call("GET", path).json[noun])
    made = server.call("POST", path, spec, headers=once)
    assert (made.status, made.headers["location"]) == (201, f"{path}/{made.json['id']}")
    assert "idempotency-replayed" not in made.headers
    again = server.call("POST", path, spec, headers=once)
    assert (again.status, again.headers["idempotency-replayed"]) == (200, "true")
    assert again.json == {name: value for name, value in made.json.items() if name != "key"}
    assert "location" not in again.headers
    assert again.headers["etag"] == made.headers["etag"] == f'"{made.json["version"]}"'
    other = server.call("POST", path, {**spec, "name": "another"}, headers=once)
    assert other.status == 422
    assert other.json["errors"][0]["field"] == "Idempotency-Key"
    assert len(server.call("GET", path).json[noun]) == before + 1
