"""A running identity API, its people and their access keys, and what a client sends it."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import sqlalchemy as sa
from tests.world import FILES, Answer, Owner, Server, World, compiled, http_request

from latchgate.core.kinds.project_token import ProjectToken, payload_of
from latchgate.core.model import Noun, Token
from latchgate.keyring import master
from latchgate.keyring.signing import Purpose, Signer, unseal
from latchgate.manage import access_keys, passwords, signing_keys
from latchgate.manage.access_keys import AccessKeySpec
from latchgate.manage.passwords import FirstPassword
from latchgate.signin.password import hash_password
from latchgate.store import schema

# A service of the same cloud, whose API reads the tokens.
COMPUTE = """
[services.compute]
title = "Compute"

[services.compute.scopes]
"compute:read" = "See machines"
"compute:write" = "Make machines"
"compute:delete" = "Delete machines"

[[areas]]
path = "/compute"
service = "compute"
accepts = ["project_token"]
rules = [
  { methods = ["GET", "HEAD"], scope = "compute:read" },
  { methods = ["POST"], scope = "compute:write" },
  { methods = ["DELETE"], scope = "compute:delete" },
]
"""
PUBLISHED = {**FILES, "kakaocloud.toml": FILES["kakaocloud.toml"] + COMPUTE}
POLICY = compiled(PUBLISHED, 2)
V3 = "/identity/v3"
TOKENS = f"{V3}/auth/tokens"
NO_SIGN_IN = "The request you have made requires authentication."


@dataclass(frozen=True, slots=True)
class Key:
    """An access key, its secret and its owner."""

    id: str
    name: str
    secret: str
    owner: Owner

    @property
    def by_id(self) -> dict[str, Any]:
        """What signs in with its id."""
        return {"id": self.id, "secret": self.secret}

    @property
    def by_name(self) -> dict[str, Any]:
        """What signs in with its name."""
        user = {"id": self.owner.user_id}
        return {"name": self.name, "secret": self.secret, "user": user}


class Cloud:
    """One server's identity API, and its database from the outside."""

    def __init__(self, server: Server, world: World) -> None:
        self.server = server
        self.world = world
        world.publish(PUBLISHED)
        reader = self.role("Reader", ["compute:read"])
        member = self.role("Member", ["compute:write"], reader)
        admin = self.role("Admin", ["*"], member)
        self.roles = {"Reader": reader, "Member": member, "Admin": admin}

    # --- records

    def role(self, name: str, scopes: Iterable[str], *implies: str) -> str:
        """Make a role that every tenant may use."""
        made = self.world.role(None, scopes)
        told = msgspec.json.encode(list(implies)).decode()
        changed = sa.update(schema.role).where(schema.role.c.id == made)
        self.world.change(Noun.ROLE, made, changed.values(name=name, implies=told))
        return made

    def person(self, role: str = "Member", *, tenant_id: str | None = None) -> Owner:
        """Make a user with a role in a project of their own, in a new tenant unless told."""
        world = self.world
        tenant = tenant_id if tenant_id is not None else world.tenant()
        owner = Owner(tenant, world.project(tenant), world.user(tenant))
        self.give(owner, role)
        return owner

    def give(self, owner: Owner, role: str, project_id: str | None = None) -> None:
        """Give somebody a role in their project, or in another."""
        self.world.assign(owner.user_id, project_id or owner.project_id, self.roles[role])

    def take(self, owner: Owner, role: str) -> None:
        """Take a role in their project away from somebody."""
        table = schema.role_assignment
        gone = sa.delete(table).where(
            table.c.user_id == owner.user_id,
            table.c.project_id == owner.project_id,
            table.c.role_id == self.roles[role],
        )
        self.world.change(Noun.USER, owner.user_id, gone)

    def key(
        self,
        owner: Owner | None = None,
        name: str = "deploy",
        *,
        chosen: str | None = None,
        **spec: Any,
    ) -> Key:
        """Make an access key as its owner would; `chosen` is a secret of their own."""
        who = owner or self.person()
        asked = msgspec.convert({"name": name, "secret": chosen} | spec, AccessKeySpec)
        hashed = None
        if chosen is not None:
            hashed = hash_password(chosen, secrets.token_bytes(16)).encode()
        made, secret, _ = access_keys.create(
            self.world.store,
            POLICY,
            self.world.acting(self.world.key(owner=who)),
            asked,
            now=time.time(),
            entropy=secrets.token_bytes,
            hashed=hashed,
        )
        text = chosen if secret is None else secret.reveal()
        assert text is not None
        return Key(made.id, name, text, who)

    def delete_key(self, key: Key) -> None:
        """Delete an access key as its owner would."""
        caller = self.world.acting(self.world.key(owner=key.owner))
        access_keys.delete(self.world.store, POLICY, caller, key.id, proven=True, now=time.time())

    def password(self, owner: Owner, login: str) -> str:
        """Give somebody a login name and a password for the identity API."""
        issued = passwords.draw(POLICY, "kakaocloud", entropy=secrets.token_bytes)
        text = issued.secret.reveal()
        hashed = hash_password(text, secrets.token_bytes(16)).encode()
        passwords.set_first(
            self.world.store,
            POLICY,
            self.world.acting(self.world.key(owner=owner)),
            owner.user_id,
            spec=FirstPassword(namespace="kakaocloud", login=login, project_id=owner.project_id),
            issued=replace(issued, digest=hashed),
        )
        return text

    def signer(self) -> Signer:
        """Return the key that signs this server's tokens now."""
        sealed = signing_keys.current(self.world.store, Purpose.TOKEN)
        return unseal(sealed, master.load(self.server.folder / "master.key"))

    def named(self, table: sa.Table, record: str) -> str:
        """Return the name of a record."""
        name: str = self.world.one(sa.select(table.c.name).where(table.c.id == record)).name
        return name

    # --- requests

    @property
    def url(self) -> str:
        """Where the API is."""
        return self.server.addresses["api"]

    def ask(
        self,
        method: str,
        path: str,
        token: str | None = None,
        *,
        subject: str | None = None,
        sent: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request; `sent` becomes its JSON body."""
        told = dict(headers or {})
        if token is not None:
            told["X-Auth-Token"] = token
        if subject is not None:
            told["X-Subject-Token"] = subject
        body = None
        if sent is not None:
            told.setdefault("Content-Type", "application/json")
            body = sent if isinstance(sent, bytes) else msgspec.json.encode(sent)
        return http_request(method, self.url + path, headers=told, body=body)

    def sign_in(
        self, block: object, method: str = "application_credential", query: str = "", **auth: object
    ) -> Answer:
        """Ask for a token by one method."""
        identity = {"methods": [method], method: block}
        return self.ask("POST", TOKENS + query, sent={"auth": {"identity": identity, **auth}})

    def token(self, key: Key) -> str:
        """Return a token of an access key."""
        answer = self.sign_in(key.by_id)
        assert answer.status == 201, answer.body
        return answer.headers["x-subject-token"]

    def signed_in(self, owner: Owner, password: str, scope: object = None) -> str:
        """Return a token of a password; unscoped unless told."""
        user = {"id": owner.user_id, "password": password}
        answer = self.sign_in({"user": user}, "password", scope=scope)
        assert answer.status == 201, answer.body
        return answer.headers["x-subject-token"]

    def works(self, token: str) -> int:
        """Return the status that a token's own validation is answered with."""
        return self.ask("GET", TOKENS, token, subject=token).status


def error(answer: Answer) -> dict[str, Any]:
    """Return what an error tells; its code must be the status."""
    told: dict[str, Any] = answer.json["error"]
    assert told["code"] == answer.status
    assert answer.headers["content-type"] == "application/json"
    return told


def said(token: str) -> tuple[Token, bytes]:
    """Return what a token says, and the id of the key it is signed with."""
    body = token.split("_", 1)[1]
    raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    return msgspec.msgpack.decode(raw[96:], type=Token), raw[:32]


def spelled(signer: Signer, token: Token, *, key_id: bytes, domain: bytes | None = None) -> str:
    """Return the text of a token that somebody signed."""
    kind = ProjectToken.configured("kakaocloud.project_token", {"prefix": "kcpt"})
    payload, message = payload_of(token)
    signed = signer.sign(message if domain is None else domain + payload)
    return kind.spell(key_id, signed, payload)
