"""Access tokens for tests: minted from a grant as the token endpoint does, with real keys."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from tests.world import ACTOR, BUILT_IN, FILES, Owner, World, file_of

from latchgate.core.kinds.oauth_token import OauthToken
from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.core.policy_file import with_built_in
from latchgate.core.scope import Scopes
from latchgate.keyring.jwt import unseal_jwt
from latchgate.keyring.master import MasterKey
from latchgate.keyring.signing import Purpose
from latchgate.manage import applications, grants, oauth_clients, signing_keys
from latchgate.manage.applications import ApplicationSpec, Verb
from latchgate.manage.grants import GrantSpec
from latchgate.manage.oauth_clients import ClientSpec, StoredClient
from latchgate.store import schema
from latchgate.store.journal import stored
from latchgate.store.reads import read_records
from latchgate.store.sqlite import connect
from latchgate.tokens.access import TokenSpec, draft, sign

ISSUER = "https://login.example"
APPLICATION = ApplicationSpec("Photos", "Example", "a@example.com", "Albums.", "corporation")


def with_issuer(files: Mapping[str, str], version: int) -> Policy:
    """Compile published files for a server whose console is at `ISSUER`."""
    given = {"oauth_token": {"issuer": ISSUER}}
    return with_built_in(files, BUILT_IN, version=version, given=given)


class Minting:
    """Grants and tokens of a world; `master` is the key that its signing keys are sealed with."""

    def __init__(self, world: World, *, issuer: str = ISSUER, master: MasterKey | None = None):
        self.world = world
        key = master or MasterKey(secrets.token_bytes(32))
        if master is None:
            signing_keys.ensure(world.store, ACTOR, key, entropy=secrets.token_bytes)
        self.signer = unseal_jwt(signing_keys.current(world.store, Purpose.OAUTH), key)
        given = {"oauth_token": {"issuer": issuer}}
        self.policy = with_built_in(FILES, BUILT_IN, version=1, given=given)
        kind = self.policy.kinds["latchgate.oauth_token"]
        assert isinstance(kind, OauthToken)
        self.kind = kind

    def grant(self, client: StoredClient, owner: Owner, *scopes: str, issues: bool = False) -> str:
        """Give a client what it may do for somebody; returns the grant's id."""
        spec = GrantSpec(
            application_id=client.application_id,
            client_id=client.id,
            name=client.application_name,
            owner=(owner.tenant_id, owner.project_id, owner.user_id),
            scopes=Scopes.of(scopes),
            issues=issues,
        )
        with self.world.changing() as change:
            row = grants.write(change, self.kind.grant_kind, spec, secrets.token_bytes)
        grant_id: str = row["id"]
        return grant_id

    def token(self, grant_id: str, *scopes: str) -> str:
        """Mint a token from a grant: with all of its scopes unless told."""
        reader = connect(file_of(self.world.database), durable=True, read_only=True)
        try:
            key = (Noun.CREDENTIAL, grant_id)
            credential: Any = read_records(reader, [key]).records[key]
        finally:
            reader.close()
        wanted = Scopes.of(scopes) if scopes else credential.scopes
        spec = TokenSpec(client_id=credential.external_id, scopes=wanted)
        now = self.world.clock()
        claims = draft(self.kind, credential, spec, now=now, entropy=secrets.token_bytes)
        return sign(claims, self.signer).reveal()

    def row(self, grant_id: str) -> dict[str, Any]:
        """Return a grant as stored."""
        table = schema.credential
        found = self.world.one(sa.select(table).where(table.c.id == grant_id))
        return stored(found._mapping)


def approved(world: World, spec: ApplicationSpec = APPLICATION) -> str:
    """Make an approved application that somebody asked for; returns its id."""
    made, _ = applications.request(world.store, spec, address=None, entropy=secrets.token_bytes)
    operator = world.acting(world.admin)
    applications.decide(world.store, operator, made.id, Verb.APPROVE, "welcome")
    return made.id


def client(world: World, policy: Policy, **told: Any) -> StoredClient:
    """Make a client, of a new approved application unless told."""
    asked: dict[str, Any] = {
        "scopes": ["openid", "own:account.read", "storage:read"],
        "redirect_uris": ["https://photos.example/callback"],
        **told,
    }
    if "application_id" not in asked:
        asked["application_id"] = approved(world)
    made, _, _ = oauth_clients.create(
        world.store,
        policy,
        world.acting(world.admin),
        ClientSpec(**asked),
        now=world.clock(),
        entropy=secrets.token_bytes,
    )
    return made
