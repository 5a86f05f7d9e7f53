"""What the tests of credentials ask of a running server: Basic, application keys, users."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from tests.world import Server, http_request


def basic(login: str, password: str) -> dict[str, str]:
    """Return the header of HTTP Basic."""
    pair = base64.b64encode(f"{login}:{password}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def verdict(
    server: Server,
    target: str,
    headers: dict[str, str],
    *,
    method: str = "GET",
    client: str = "127.0.0.1",
) -> dict[str, Any]:
    """Ask the verify address about one request that came over TLS or from this machine."""
    asked = {
        "method": method,
        "target": target,
        "host": "api.example",
        "headers": headers,
        "client": client,
        "tls": True,
    }
    answer = http_request("POST", f"{server.addresses['verify']}/", body=msgspec.json.encode(asked))
    assert answer.status == 200, answer.body
    told: dict[str, Any] = answer.json
    return told


def allows(server: Server, target: str, headers: dict[str, str], **more: str) -> bool:
    """Whether such a request would pass."""
    return verdict(server, target, headers, **more)["allowed"] is True
