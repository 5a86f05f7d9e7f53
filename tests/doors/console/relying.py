"""A client of the authorization endpoint, as a test's own application has one."""

from __future__ import annotations

import html
import re
import secrets
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from tests.doors.console.visitor import Visitor
from tests.oauth import authority
from tests.oauth.authority import CHALLENGE, REDIRECT, VERIFIER, Registered
from tests.world import Answer, Server, World, http_request

_HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)"')
_ONWARD = re.compile(r'<meta http-equiv="refresh" content="0; url=([^"]+)">')


@dataclass(frozen=True)
class App:
    """A registered client, and the server that it is registered at."""

    server: Server
    client: Registered
    state: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    def of(cls, server: Server, world: World, **told: object) -> App:
        """Register one."""
        return cls(server, authority.client(world, **told))  # type: ignore[arg-type] # as it takes

    def path(self, **changed: str) -> str:
        """Return where it sends a browser."""
        told = {
            "client_id": self.client.id,
            "redirect_uri": REDIRECT,
            "response_type": "code",
            "scope": "openid offline_access storage:read",
            "state": self.state,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        return f"/oauth/authorize?{urlencode(told | changed)}"

    def brought(self, answer: Answer) -> dict[str, str]:
        """Return what a browser was sent back with, which is always its own and of this server."""
        onward = _ONWARD.search(answer.body.decode())
        assert answer.status == (303 if onward is None else 200), answer.body
        uri = answer.headers["location"] if onward is None else html.unescape(onward[1])
        where, _, query = uri.partition("?")
        assert where == REDIRECT, where
        told = dict(parse_qsl(query, strict_parsing=True))
        assert told.pop("state") == self.state
        assert told.pop("iss") == self.server.addresses["console"]
        return told

    def redeem(self, code: str, verifier: str = VERIFIER) -> Answer:
        """Exchange a code."""
        told = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
        return self.token(told | {"code_verifier": verifier})

    def token(self, told: dict[str, str]) -> Answer:
        """Ask for a token, as the client that it is."""
        if self.client.secret is None:
            told = told | {"client_id": self.client.id}
        headers = {} if self.client.secret is None else self.client.basic
        headers |= {"Content-Type": "application/x-www-form-urlencoded"}
        url = f"{self.server.addresses['console']}/oauth/token"
        return http_request("POST", url, headers=headers, body=urlencode(told).encode())


def carried(visitor: Visitor) -> dict[str, str]:
    """Return the hidden fields of the page seen last, but its token."""
    return {
        name: html.unescape(text) for name, text in _HIDDEN.findall(visitor.page) if name != "csrf"
    }
