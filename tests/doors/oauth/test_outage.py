"""A database that fails under the endpoints: 503 in JSON, and never a success that is none."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from tests.oauth import authority
from tests.world import Server, World, http_request

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def victim(tmp_path):
    """A server whose database is spoiled by the test."""
    made = Server.started(tmp_path / "lg")
    yield made
    made.kill()


def test_d5_43_nothing_is_given_told_or_revoked_without_the_database(victim):
    world = World.beside(victim)
    owner = world.somebody("storage:read")
    app, unseen = (
        authority.client(world, acts_as=owner, scopes=["storage:read"]) for _ in range(2)
    )
    console = victim.addresses["console"]

    def post(path, by=app, **told):
        headers = by.basic | {"Content-Type": FORM}
        body = urlencode(told).encode()
        return http_request("POST", console + path, headers=headers, body=body)

    given = post("/oauth/token", grant_type="client_credentials")
    assert given.status == 200, given.body
    text = given.json["access_token"]
    world.close()
    spoil(victim.folder / "latchgate.db")
    # What has to be written, or read: what is in memory stays exact while nothing changes.
    asked = [
        ("/oauth/token", app, {"grant_type": "refresh_token", "refresh_token": "lgrt_x"}),
        ("/oauth/revoke", app, {"token": text}),
        ("/oauth/revoke", app, {"token": "lgrt_x"}),
        ("/oauth/device_authorization", app, {"scope": "storage:read"}),
        ("/oauth/token", unseen, {"grant_type": "client_credentials"}),
        ("/oauth/introspect", unseen, {"token": text}),
        ("/oauth/revoke", unseen, {"token": text}),
    ]
    for path, by, told in asked:
        answer = post(path, by, **told)
        assert answer.status == 503, (path, told, answer)
        assert answer.json["error"] == "temporarily_unavailable"
        assert int(answer.headers["retry-after"]) > 0
        assert answer.headers["cache-control"] == "no-store"


def spoil(database):
    """Overwrite a database in place, under the server that has it open."""
    for path in (database, database.with_name(f"{database.name}-wal")):
        if path.exists():
            with path.open("r+b") as file:
                file.write(b"\xff" * path.stat().st_size)
