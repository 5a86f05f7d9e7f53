"""A cloud that is nobody's, and answers as servers give them, for tests of what refusals become."""

from __future__ import annotations

import json
from typing import ClassVar

from latchgate.client.flow import Cloud, Flow, Send
from latchgate.client.hosts import Hosts
from latchgate.client.message import Response, Target
from latchgate.client.secret import Secret

SECRET = "wayscloud_storage_abc123_XyZ/789+Secret=Key"


class Nobody(Cloud):
    """A cloud with secrets, whose requests nobody sends."""

    name: ClassVar[str] = "Nobody"

    def __init__(self, *secrets: str) -> None:
        self.url = "https://api.example.com"
        self.hosts = Hosts(self.name, names=frozenset({"api.example.com"}))
        self.source = "argument"
        self._secrets = tuple(Secret(one) for one in secrets or (SECRET,))

    def signed(self, target: Target) -> Flow:
        """Send as it is."""
        yield Send(())

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What it was given."""
        return self._secrets


def answer(status: int, body: object = b"", **headers: str) -> Response:
    """Return an answer; a body that is no bytes is JSON, `_` in a header's name is a hyphen."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Response.of(status, pairs, raw)
