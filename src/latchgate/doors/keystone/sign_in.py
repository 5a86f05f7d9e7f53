"""Tokens given out: for an access key, for a password, for a token of a password.

Rule of this file: whether a credential stands is decided where every credential is, and of those
that don't, all are answered alike (ATTACKS D4.27): no status, text or work tells a wrong secret
from an unknown name. Source: providers/kakaocloud, "Get API authentication token".
"""

from __future__ import annotations

import asyncio
import logging
import unicodedata

import msgspec

from latchgate.core.basic import MAX_PASSWORD, canonical_login
from latchgate.core.model import Credential, Decision, Grant, Presented, Refused, Token
from latchgate.core.secret import Secret
from latchgate.doors.keystone.answers import (
    NOT_AUTHORIZED,
    SUBJECT,
    Answer,
    RefusedError,
    unauthorized,
    unavailable,
)
from latchgate.doors.keystone.bodies import Said, token_body
from latchgate.doors.keystone.call import Call
from latchgate.doors.keystone.reading import (
    Asked,
    KeyAsked,
    PasswordAsked,
    TokenAsked,
    Whose,
    flag,
    read_sign_in,
)
from latchgate.doors.keystone.tokens import source_of
from latchgate.keyring.errors import KeyringError
from latchgate.keyring.signing import Signer
from latchgate.manage import identities
from latchgate.tokens.mint import draft, sign
from latchgate.verify.walk import Claim

KEY_LOGINS = "access_key"
_DELEGATED = "Using a delegated token to create another token is not allowed.."
_NARROW = "A password of certain scopes gives tokens without a project only."
_log = logging.getLogger(__name__)


async def issue(call: Call) -> Answer:
    """Give out a token: `POST auth/tokens`."""
    said, token = await _signed_in(call, read_sign_in(await call.body()))
    signer = call.door.signers.ready() or await _signer(call)
    text = sign(call.identity.tokens, token, signer).reveal()
    catalog = not flag(call.query, "nocatalog")
    body = await call.door.asked(
        lambda: token_body(call.identity, call.door.engine, said, catalog=catalog)
    )
    return Answer(201, body, ((SUBJECT, text.encode()),))


async def _signer(call: Call) -> Signer:
    try:
        return await asyncio.to_thread(call.door.signers.signer)
    except KeyringError as error:
        _log.error("a token could not be signed: %s", error)
        raise unavailable() from error


async def _signed_in(call: Call, asked: Asked) -> tuple[Said, Token]:
    if isinstance(asked, KeyAsked):
        grant = await _by_key(call, asked)
        source = grant.credential
        return _drafted(call, grant, source, source.project_id, issues=source.issues)
    if isinstance(asked, PasswordAsked):
        grant = await _by_password(call, asked)
        return await _for_project(call, grant, grant.credential, asked.project)
    return await _by_token(call, asked)


async def _by_key(call: Call, asked: KeyAsked) -> Grant:
    """Return what an access key gives now."""
    kind = call.identity.keys
    secret = _usable(asked.secret)
    if kind is None:
        raise unauthorized()
    if asked.id is not None:
        claim = Claim(kind, kind.claim(secret, key_id=asked.id), KEY_LOGINS)
    else:
        user_id = await _user(call, asked.user) if asked.user is not None else ""
        presented = kind.claim(secret, login=asked.name)
        claim = Claim(kind, presented, f"{KEY_LOGINS}/{user_id}")
    return _granted(await call.decide(claim))


async def _by_password(call: Call, asked: PasswordAsked) -> Grant:
    """Return what a user's password gives now."""
    identity, kind = call.identity, call.identity.passwords
    secret = _usable(asked.password)
    if kind is None:
        raise unauthorized()
    user_id = await _user(call, asked.user)
    store = call.door.store
    name = await asyncio.to_thread(identities.login_name, store, identity.logins, user_id)
    if name is None:
        # No login name holds a slash: nobody's, but guesses of it are counted like any other's.
        name = f"/{canonical_login(asked.user.id or asked.user.name or '')}"
    password = Secret(unicodedata.normalize("NFC", secret))
    presented = Presented(kind.name, "", b"", login=name, password=password)
    return _granted(await call.decide(Claim(kind, presented, identity.logins)))


async def _by_token(call: Call, asked: TokenAsked) -> tuple[Said, Token]:
    """Give a token for another project to whoever signed in with a password.

    It keeps the moment of that sign-in and ends no later (ATTACKS D5.41).
    """
    kind = call.identity.tokens
    found = kind.claim(asked.text.reveal())
    if isinstance(found, Refused):
        raise unauthorized()
    grant = _granted(await call.decide(Claim(kind, found[0], "")))
    source = await source_of(call, grant.credential)
    passwords = call.identity.passwords
    if passwords is None or source.kind != passwords.name:
        raise RefusedError(403, NOT_AUTHORIZED + _DELEGATED)
    return await _for_project(call, grant, source, asked.project, before=grant.credential)


async def _for_project(
    call: Call,
    grant: Grant,
    source: Credential,
    project: Whose | None,
    *,
    before: Credential | None = None,
) -> tuple[Said, Token]:
    """Draft a token of a user's roles in a project, or one without a project.

    `before` is the token that it is asked for with, instead of a password.
    """
    issues = before.issues if before is not None else True
    if project is None:
        return _drafted(call, grant, source, "", issues=issues, before=before)
    if not source.scopes.every:
        # Roles are more than the scopes they hold: services elsewhere read their names.
        raise RefusedError(403, NOT_AUTHORIZED + _NARROW)
    project_id = await _project(call, project)
    held = tuple(role_id for at, role_id in grant.owner.roles if at == project_id)
    _, token = _drafted(call, grant, source, project_id, roles=held, issues=issues, before=before)
    kind = call.identity.tokens.name
    facts = await call.door.asked(lambda: call.door.engine.standing(kind, token))
    if facts is None or facts.grant is None or not facts.grant.roles:
        raise unauthorized()
    return _drafted(call, facts.grant, source, project_id, issues=issues, before=before)


def _drafted(
    call: Call,
    grant: Grant,
    source: Credential,
    project_id: str,
    *,
    issues: bool,
    roles: tuple[str, ...] | None = None,
    before: Credential | None = None,
) -> tuple[Said, Token]:
    """Draft a token with the roles that a grant has, or those given."""
    if roles is None:
        roles = tuple(sorted(grant.roles)) if project_id else ()
    token = draft(
        call.identity.tokens,
        source,
        project_id=project_id,
        roles=roles,
        issues=issues,
        now=call.door.clock(),
        entropy=call.door.entropy,
    )
    if before is not None and before.expires_at is not None:
        end = min(token.expires_at, before.expires_at)
        token = msgspec.structs.replace(token, issued_at=before.created_at, expires_at=end)
    said = Said(
        id=token.id,
        owner=grant.owner,
        source=source,
        project_id=project_id,
        roles=frozenset(roles),
        issues=issues,
        issued_at=token.issued_at,
        expires_at=token.expires_at,
    )
    return said, token


def _usable(secret: Secret) -> str:
    """Return a secret that may be worked on; whoever sends none, or a huge one, is refused."""
    text = secret.reveal()
    if not text or len(text) > MAX_PASSWORD:
        raise unauthorized()
    return text


def _granted(decision: Decision) -> Grant:
    if decision.grant is None or not decision.allowed:
        raise unauthorized(decision.id)
    return decision.grant


async def _user(call: Call, user: Whose) -> str:
    """Return the id of the user meant, made up for nobody's name: it is looked up all the same."""
    if user.id is not None:
        return user.id
    found = await asyncio.to_thread(
        identities.user_named,
        call.door.store,
        call.identity.logins,
        user.name or "",
        tenant_id=user.domain.id,
        tenant=user.domain.name,
    )
    return found if found is not None else f"/{user.name}"


async def _project(call: Call, project: Whose) -> str:
    if project.id is not None:
        return project.id
    found = await asyncio.to_thread(
        identities.project_named,
        call.door.store,
        project.name or "",
        tenant_id=project.domain.id,
        tenant=project.domain.name,
    )
    if found is None:
        raise unauthorized()
    return found
