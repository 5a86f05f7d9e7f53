"""A Latchgate with HTTPS as an OpenID provider, its clients, and the people who sign in there.

Clients are made as an operator makes them, over the management API. Time is the one thing that no
test waits for: `later` moves what is stored into the past instead.
"""

from __future__ import annotations

import http.client
import json
import secrets
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from tests import people
from tests.certificates import Authority
from tests.e2e.stack import Latchgate, text_of
from tests.oauth.authority import unchecked
from tests.people import Person
from tests.world import ACTOR, World

from latchgate.core.kinds.oauth_token import TYPE
from latchgate.keyring.jwt import JwtSigner, unseal_jwt
from latchgate.keyring.master import load
from latchgate.keyring.signing import Purpose
from latchgate.manage import signing_keys
from latchgate.store import schema

OPENID = ("openid", "profile", "email", "offline_access")
SERVICES = ("storage:read", "storage:write")
CODE, REFRESH = "authorization_code", "refresh_token"
CREDENTIALS = "client_credentials"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
INTROSPECTION = "urn:latchgate:introspection"


@dataclass(frozen=True)
class Client:
    """A client as its developer knows it; public without a secret."""

    id: str
    secret: str | None = field(repr=False)
    redirect_uri: str | None

    def told(self, issuer: str) -> dict[str, str | None]:
        """Return what a program is configured with."""
        return {
            "issuer": issuer,
            "id": self.id,
            "secret": self.secret,
            "redirect_uri": self.redirect_uri,
        }


class Provider(Latchgate):
    """One Latchgate whose API and console speak HTTPS with a certificate of its own authority."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.authority = Authority(folder / "authority")
        self.trust: ssl.SSLContext = self.authority.client()
        pair = self.authority.issue("latchgate")
        with self.config.open("a", encoding="utf-8") as file:
            file.write(f'\n[tls]\ncertificate = "{pair.certificate}"\nkey = "{pair.key}"\n')
        self._world: World | None = None

    @property
    def issuer(self) -> str:
        """Where browsers and programs reach it."""
        return f"https://{text_of(self.console)}"

    @property
    def world(self) -> World:
        """Its database, as one more process sees it."""
        if self._world is None:
            self._world = World.beside(self)  # type: ignore[arg-type] # all of it that is used
        return self._world

    def close(self) -> None:
        """Leave the database."""
        if self._world is not None:
            self._world.close()

    def called(self, method: str, path: str, sent: object = None) -> tuple[int, Any]:
        """Ask the management API with the first token, over TLS; return status and JSON."""
        connection = http.client.HTTPSConnection(*self.api, timeout=30, context=self.trust)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        body = None if sent is None else json.dumps(sent)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def client(
        self, name: str, *grants: str, redirect_uri: str | None = None, **more: Any
    ) -> Client:
        """Make a client of an application of its own."""
        spec = {
            "application": {
                "name": name,
                "vendor": "A vendor",
                "contact": "dev@example.com",
                "purpose": "It is for tests",
                "developer": "corporation",
            },
            "grant_types": list(grants),
            "scopes": [*OPENID, *SERVICES],
            "redirect_uris": [] if redirect_uri is None else [redirect_uri],
        }
        told = self.call("POST", "/manage/v1/oauth-clients", spec | more)
        return Client(told["id"], told["client_secret"], redirect_uri)

    def robot(self, name: str) -> Client:
        """Make a client that acts by itself, as a service user who may read and write storage."""
        made = self.client(name, CREDENTIALS, tenant_id=self.world.owner.tenant_id)
        user = self.call("POST", "/manage/v1/users", {"name": name, "sort": "service"})["id"]
        project = self.call("POST", "/manage/v1/projects", {"name": name})["id"]
        spec = {"name": name, "scopes": list(SERVICES)}
        role = self.call("POST", "/manage/v1/roles", spec)["id"]
        self.call("PUT", f"/manage/v1/users/{user}/roles/{project}/{role}")
        sent = {"user_id": user, "scopes": list(SERVICES)}
        self.call("PUT", f"/manage/v1/oauth-grants/{made.id}", sent)
        return made

    def access_token(self, client: Client, **told: str) -> str:
        """Return an access token that a client gets by itself."""
        form = {"grant_type": CREDENTIALS} | told
        return str(self.posted("/oauth/token", client, form)["access_token"])

    def posted(self, path: str, client: Client, form: dict[str, str]) -> Any:
        """Send a form by a client to the console's address, and return the JSON it must answer."""
        connection = http.client.HTTPSConnection(*self.console, timeout=30, context=self.trust)
        proof = {"client_id": client.id} | ({"client_secret": client.secret or ""})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            connection.request("POST", path, urlencode(form | proof), headers)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, (answer.status, body)
            return json.loads(body) if body else None
        finally:
            connection.close()

    def person(self) -> Person:
        """Make somebody who signs in with a password, and may read and write storage."""
        return people.person(self.world, *SERVICES)

    def later(self, seconds: float) -> None:
        """Make every code, refresh token and device authorization as much older."""
        for table in (schema.oauth_code, schema.oauth_refresh, schema.oauth_device):
            times = [one for one in table.c if one.name in _TIMES]
            earlier = {one.name: one - seconds for one in times}
            with self.world.store.writing() as connection:
                connection.execute(sa.update(table).values(**earlier))

    def signed(self, token: str, **changed: Any) -> str:
        """Sign a token's claims anew with some of them changed, as only Latchgate itself could."""
        return self.signer().sign(unchecked(token)[1] | changed, typ=TYPE)

    def replace_keys(self) -> None:
        """Replace the keys that sign, as `latchgate signing-key replace` does."""
        master = load(self.folder / "master.key")
        signing_keys.replace(self.world.store, ACTOR, master, entropy=secrets.token_bytes)

    def signer(self) -> JwtSigner:
        """Return the key that signs now."""
        key = signing_keys.current(self.world.store, Purpose.OAUTH)
        return unseal_jwt(key, load(self.folder / "master.key"))


_TIMES = frozenset({"expires_at", "used_at", "created_at", "polled_at"})
