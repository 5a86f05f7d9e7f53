"""An authorization server over a real database, and its clients, users and codes.

Records are written as the program writes them, by rows: what registers clients is tested elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa
from tests.world import ACTOR, BUILT_IN, FILES, Owner, World

from latchgate.core.kinds.client_secret import ClientSecret
from latchgate.core.kinds.spec import Spec
from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.core.policy_file import with_built_in
from latchgate.core.secret import Secret
from latchgate.keyring.jwt import unseal_jwt
from latchgate.keyring.master import MasterKey
from latchgate.keyring.signing import Purpose
from latchgate.manage import signing_keys
from latchgate.oauth import codes, grants
from latchgate.oauth.clients import GrantType, found
from latchgate.oauth.codes import AuthorizedRequest, Exchange
from latchgate.oauth.grants import Holder
from latchgate.oauth.server import AuthorizationServer
from latchgate.store import schema
from latchgate.tokens.signers import Signers

ISSUER = "https://login.example"
REDIRECT = "https://app.example/callback"
VERIFIER = "a-verifier-of-forty-three-characters-or-more"
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
)
ALL_GRANTS = tuple(str(one) for one in GrantType if one is not GrantType.INTROSPECTION)
SCOPES = ("openid", "profile", "email", "offline_access", "storage:read", "storage:write")
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Registered:
    """A client and its secret."""

    id: str
    secret: str | None
    application_id: str

    @property
    def basic(self) -> dict[str, str]:
        """The header with which it proves itself."""
        told = base64.b64encode(f"{self.id}:{self.secret}".encode()).decode()
        return {"Authorization": f"Basic {told}"}


def issuing(files: dict[str, str], version: int) -> Policy:
    """Compile published files for a server that has an issuer."""
    return with_built_in(
        files, BUILT_IN, version=version, given={"oauth_token": {"issuer": ISSUER}}
    )


def authority(world: World, *, clock=None) -> AuthorizationServer:
    """Return an authorization server over a world's database, with keys of its own."""
    master = MasterKey(secrets.token_bytes(32))
    signing_keys.ensure(world.store, ACTOR, master, entropy=secrets.token_bytes)
    world.publish(FILES)
    engine = world.engine(compile_policy=issuing, clock=clock)
    signers = Signers(
        current=lambda: signing_keys.current(world.store, Purpose.OAUTH),
        load=lambda: master,
        unseal=unseal_jwt,
        position=lambda: engine.position,
    )
    return AuthorizationServer(
        world.store, engine, signers, clock or world.clock, secrets.token_bytes
    )


def application(world: World, *, state: str = "approved") -> str:
    """Make an application."""
    number = next(_numbers)
    row: dict[str, Any] = {
        "name": f"Application {number}",
        "vendor": "v",
        "contact": '"a@example.com"',
    }
    row |= {"purpose": "p", "developer": "individual", "state": state, "reason": ""}
    row |= {"owner_digest": secrets.token_bytes(32), "created_at": world.clock()}
    return world.make(Noun.APPLICATION, schema.application, "app", **row)


def secret_of(
    world: World, application_id: str, *, expires_at: float | None = None
) -> tuple[str, str]:
    """Make a secret of an application; returns its id and its text."""
    kind = ClientSecret("latchgate.client_secret")
    issued = kind.issue(Spec(service=""), secrets.token_bytes(kind.entropy_bytes))
    row: dict[str, Any] = {
        "id": issued.id,
        "kind": kind.name,
        "application_id": application_id,
        "user_id": None,
    }
    row |= {"digest": issued.digest, "created_at": world.clock(), "created_by": "test"}
    row |= {"revoked_at": None, "expires_at": expires_at, "superseded_by": None}
    with world.changing() as change:
        noun, table = Noun.APPLICATION_KEY, schema.application_key
        change.add("application_key.create", noun, table, row, tenant_id=None)
    return issued.id, issued.secret.reveal()


def client(
    world: World,
    *,
    public: bool = False,
    first_party: bool = False,
    grant_types: Iterable[str] = ALL_GRANTS,
    scopes: Iterable[str] = SCOPES,
    tenant_id: str | None = None,
    acts_as: Owner | None = None,
    application_id: str | None = None,
    redirect_uris: Iterable[str] = (REDIRECT,),
    logout_uris: Iterable[str] = (),
) -> Registered:
    """Register a client; `acts_as` is whom it is with client credentials."""
    owned = application_id or application(world)
    client_id = f"client-{next(_numbers)}-{secrets.token_hex(3)}"
    row: dict[str, Any] = {
        "id": client_id,
        "application_id": owned,
        "tenant_id": tenant_id,
        "public": public,
    }
    row |= {"first_party": first_party, "redirect_uris": list(redirect_uris)}
    row |= {"logout_uris": list(logout_uris)}
    row |= {"grant_types": list(grant_types), "scopes": list(scopes), "grant_id": None}
    row |= {"created_at": world.clock(), "created_by": "test", "disabled_at": None}
    with world.changing() as change:
        noun, table = Noun.OAUTH_CLIENT, schema.oauth_client
        change.add("oauth_client.create", noun, table, row, tenant_id=tenant_id)
    text = None if public else secret_of(world, owned)[1]
    made = Registered(client_id, text, owned)
    if acts_as is not None:
        granted = grant(world, made, acts_as, scopes)
        changed = sa.update(table).where(table.c.id == client_id).values(grant_id=granted)
        world.change(Noun.OAUTH_CLIENT, client_id, changed)
    return made


def known(world: World, made: Registered):
    """Return a client as grants read it."""
    read = found(world.store, made.id)
    assert read is not None
    return read


def narrow(world: World, client_id: str, scopes: Iterable[str]) -> None:
    """Let a client be given these scopes alone from now on."""
    table = schema.oauth_client
    changed = sa.update(table).where(table.c.id == client_id)
    world.change(Noun.OAUTH_CLIENT, client_id, changed.values(scopes=json.dumps(list(scopes))))


def grant(
    world: World, made: Registered, owner: Owner, scopes: Iterable[str], *, expires_at=None
) -> str:
    """Let a client act for a user; returns the grant's id."""
    return grants.make(
        world.store,
        known(world, made),
        Holder(owner.user_id, owner.project_id),
        scopes=scopes,
        expires_at=expires_at,
        actor=ACTOR,
        entropy=secrets.token_bytes,
    )


def code(
    world: World, made: Registered, owner: Owner, *, scopes=SCOPES, now=None, nonce="n-1"
) -> str:
    """Let a user authorize a client; returns the code that their browser brings."""
    asked = AuthorizedRequest(
        client_id=made.id,
        user_id=owner.user_id,
        project_id=owner.project_id,
        redirect_uri=REDIRECT,
        scopes=tuple(scopes),
        challenge=CHALLENGE,
        auth_time=1_700_000_000.5,
        methods=("pwd", "otp"),
        nonce=nonce,
    )
    when = world.clock() if now is None else now
    made_code: Secret = codes.issue(world.store, asked, now=when, entropy=secrets.token_bytes)
    return made_code.reveal()


def sent(text: str, *, redirect_uri: str = REDIRECT, verifier: str = VERIFIER) -> Exchange:
    """Return what a client sends for a code."""
    return Exchange(text, redirect_uri, verifier)


def unchecked(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a JWT's header and claims, as anybody reads them."""
    head, body, _ = token.split(".")
    raw = [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in (head, body)]
    return json.loads(raw[0]), msgspec.json.decode(raw[1])
