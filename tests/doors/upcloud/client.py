"""Who asks `/1.3` in the tests of this folder, and with which token."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.world import FILES, Answer, Owner, Server, World, compiled, http_request

from latchgate.manage import tokens
from latchgate.manage.tokens import TokenSpec

SCOPES = ("upcloud:read", "upcloud:write", "upcloud:account")


@dataclass(frozen=True)
class Client:
    """One who asks `/1.3` with their own header, as the provider's clients do."""

    server: Server
    headers: Mapping[str, str]
    owner: Owner | None = None

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request; a body that is no bytes goes as JSON, and the header always does."""
        raw = body if isinstance(body, bytes) else None
        if body is not None and raw is None:
            raw = json.dumps(body).encode()
        # The Go SDK and upctl send both with every request, body or none.
        told = {"Accept": "application/json", "Content-Type": "application/json"}
        told |= {**self.headers, **(headers or {})}
        url = f"{self.server.addresses['api']}/1.3{path}"
        return http_request(method, url, headers=told, body=raw)

    def json(self, method: str, path: str, body: object = None, *, status: int = 200) -> Any:
        """Send one request and return its answer, which must have a status."""
        answer = self.ask(method, path, body)
        assert answer.status == status, answer.body
        return answer.json if answer.body else None

    def code(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        """Return the status and the provider's code of a refusal, in either shape."""
        answer = self.ask(method, path, body)
        assert answer.status >= 400, answer.body
        if answer.headers["content-type"] == "application/problem+json":
            return answer.status, answer.json["type"].partition("#ERROR_")[2]
        return answer.status, answer.json["error"]["error_code"]


def bearer(world: World, owner: Owner, **spec: Any) -> dict[str, str]:
    """Make an API token by the program's own change, and return the header that presents it."""
    asked: dict[str, Any] = {
        "name": "made by a test",
        "expires_in": "8760h",
        "can_create_tokens": True,
    } | spec
    _, issued, _ = tokens.create(
        world.store,
        compiled(FILES, 1),
        world.acting(world.key(owner=owner)),
        TokenSpec(**asked),
        now=time.time(),
        entropy=secrets.token_bytes,
    )
    assert issued is not None
    return {"Authorization": f"Bearer {issued.secret.reveal()}"}
