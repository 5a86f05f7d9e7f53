"""Tokens looked at and deleted by whoever holds them, or by services that are given them.

Rule of this file: a token is looked at with a token. What is not recognised, deleted or ended is
not found, whichever it is. Source: Keystone v3, "Validate and show information for token", "Revoke
token".
"""

from __future__ import annotations

import asyncio

from latchgate.core.model import Credential, Decision, Grant, Noun, Presented, Refused
from latchgate.core.reason import Reason
from latchgate.doors.keystone.answers import (
    SUBJECT,
    Answer,
    forbidden,
    not_found,
    unavailable,
)
from latchgate.doors.keystone.bodies import Said, token_body
from latchgate.doors.keystone.call import Call
from latchgate.doors.keystone.reading import flag
from latchgate.manage import project_tokens
from latchgate.verify.cache import Moment
from latchgate.verify.walk import Claim

EXPIRED_SECONDS = 2 * 86_400  # how long an ended token can be looked at, as with Keystone
_ACCESS_RULES = "openstack-identity-access-rules"
_UNRECOGNISED = "Could not recognize Fernet token"
_DEAD = "Failed to validate token"
_FOREIGN = frozenset({Reason.CREDENTIAL_UNKNOWN, Reason.SECRET_WRONG})


async def validate(call: Call) -> Answer:
    """Tell what a token is: `GET` and `HEAD auth/tokens`."""
    action = "identity:validate_token"
    query = call.query
    text = _subject(call, action)
    grant, at = await _standing(call, text, ended=flag(query, "allow_expired"))
    _may(call, grant, action)
    told = call.request.headers
    if grant.credential.access_rules is not None and not told.get(_ACCESS_RULES):
        raise not_found(_DEAD)
    body = await _body(call, grant, at, catalog=not flag(query, "nocatalog"))
    return Answer(200, body, ((SUBJECT, text.encode("latin-1")),))


async def delete(call: Call) -> Answer:
    """Delete a token, and answer when no worker accepts it any more: `DELETE auth/tokens`."""
    action = "identity:revoke_token"
    grant, _ = await _standing(call, _subject(call, action), ended=False)
    _may(call, grant, action)
    n = await asyncio.to_thread(
        project_tokens.delete, call.door.store, call.caller, grant.credential
    )
    await call.door.acknowledged(n)
    return Answer(204)


def _subject(call: Call, action: str) -> str:
    text = call.request.headers.get("x-subject-token")
    if text is None:
        raise forbidden(action)
    return text


def _may(call: Call, subject: Grant, action: str) -> None:
    """Let everybody see to their own tokens, and to others' whoever holds the scope for it."""
    grant = call.grant
    if subject.owner.id != grant.owner.id and call.identity.validates not in grant.rights:
        raise forbidden(action)


async def _standing(call: Call, text: str, *, ended: bool) -> tuple[Grant, Moment]:
    """Return what a token gives now, and the moment of the journal that it is right at."""
    now: Decision = call.scope["latchgate.decision"]
    at = call.door.engine.history, now.journal
    if text == call.request.headers.get("x-auth-token"):
        return call.grant, at
    known = call.validated.grant(text, at, call.door.clock())
    if known is not None:
        return known, at
    kind = call.identity.tokens
    found = kind.claim(text)
    if isinstance(found, Refused):
        raise not_found(_UNRECOGNISED)
    (presented,) = found
    history = call.door.engine.history
    decision = await call.decide(Claim(kind, presented, ""))
    at = history, decision.journal
    if decision.allowed and decision.grant is not None:
        source = await source_of(call, decision.grant.credential)
        call.validated.keep(text, at, decision.grant, source)
        return decision.grant, at
    if ended and decision.reason is Reason.CREDENTIAL_EXPIRED:
        return await call.door.asked(lambda: _once_stood(call, presented)), at
    raise not_found(_UNRECOGNISED if decision.reason in _FOREIGN else _DEAD)


def _once_stood(call: Call, presented: Presented) -> Grant:
    """Return what an ended token would give: long operations end later than what began them."""
    if presented.signed is None:
        raise not_found(_DEAD)
    token = presented.signed.token
    facts = call.door.engine.standing(call.identity.tokens.name, token)
    late = call.door.clock() >= token.expires_at + EXPIRED_SECONDS
    if late or facts is None or facts.grant is None or facts.parent is None:
        raise not_found(_DEAD)
    if facts.parent.gap is not None or facts.parent.credential.revoked_at is not None:
        raise not_found(_DEAD)
    return facts.grant


async def _body(call: Call, grant: Grant, at: Moment, *, catalog: bool) -> bytes:
    """Return what is told of a token, made once while nothing changes."""
    engine, credential = call.door.engine, grant.credential
    known = call.validated.body(grant, at, catalog=catalog)
    if known is not None:
        return known
    said = Said(
        id=credential.id,
        owner=grant.owner,
        source=await source_of(call, credential),
        project_id=credential.project_id,
        roles=grant.roles,
        issues=credential.issues,
        issued_at=credential.created_at,
        expires_at=credential.expires_at or 0.0,
    )
    body = await call.door.asked(lambda: token_body(call.identity, engine, said, catalog=catalog))
    if (engine.history, engine.position) == at:
        call.validated.keep_body(grant, at, body, catalog=catalog)
    return body


async def source_of(call: Call, credential: Credential) -> Credential:
    """Return what a token was minted from."""
    key = (Noun.CREDENTIAL, credential.source_id)
    found = (await call.door.asked(lambda: call.door.engine.records([key])))[key]
    if not isinstance(found, Credential):
        raise unavailable()
    return found
