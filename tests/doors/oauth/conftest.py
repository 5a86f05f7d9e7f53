"""One running server for all tests of these endpoints, its database, and forms sent to it."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from tests.world import Answer, Server, World, http_request


@pytest.fixture(scope="package")
def server(tmp_path_factory):
    """A server with one worker."""
    made = Server.started(tmp_path_factory.mktemp("server") / "lg")
    yield made
    made.kill()


@pytest.fixture(scope="package")
def world(server):
    """The database of that server, as one more process sees it."""
    made = World.beside(server)
    yield made
    made.close()


@pytest.fixture(scope="package")
def post(server):
    """Return a function that sends a form to an endpoint: by a client, by Basic unless public."""

    def send(path, told, client=None, headers=None, body=None) -> Answer:
        form, more = dict(told), dict(headers or {})
        if client is not None and client.secret is None:
            form.setdefault("client_id", client.id)
        elif client is not None:
            more |= client.basic
        more.setdefault("Content-Type", "application/x-www-form-urlencoded")
        sent = urlencode(form).encode() if body is None else body
        return http_request("POST", server.addresses["console"] + path, headers=more, body=sent)

    return send
