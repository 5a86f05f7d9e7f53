"""What anybody may read, and what the bearer of a token may: metadata, keys, userinfo."""

from __future__ import annotations

import asyncio
import re

from latchgate.core.model import AccessToken, Presented, Refused
from latchgate.doors.oauth.answers import KEPT_NOWHERE, Answer, Headers, refused, said
from latchgate.doors.oauth.call import Call
from latchgate.oauth import discovery
from latchgate.oauth import userinfo as claims
from latchgate.oauth.errors import Code, OAuthError
from latchgate.verify.walk import Claim

# The next key is published long before it signs, so keys may be kept for a while.
_KEPT: Headers = ((b"cache-control", b"public, max-age=300"),)
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)


async def metadata(call: Call) -> Answer:
    """Tell where everything is, at both well-known addresses."""
    # RFC 9728 §4: by the console's address a program finds the API's.
    told = discovery.metadata(call.server)
    told["protected_resources"] = [call.desk.door.api_url]
    return said(told, headers=_KEPT)


async def keys(call: Call) -> Answer:
    """Tell the keys that tokens are checked with: `GET /oauth/jwks`."""
    told = await asyncio.to_thread(discovery.key_set, call.server)
    return said(told, headers=_KEPT)


async def userinfo(call: Call) -> Answer:
    """Tell the bearer of a token about its user: `GET` and `POST /oauth/userinfo`."""
    realm = f'Bearer realm="{call.server.issuer}"'
    try:
        presented = _presented(call)
        if presented is None:
            return Answer(401, b"", (*KEPT_NOWHERE, (b"www-authenticate", realm.encode())))
        decision = await call.decide(Claim(call.server.kind, presented, "", anywhere=True))
        if decision.grant is None or not decision.allowed:
            raise _invalid()
        token, owner = _said(presented), decision.grant.owner
        claims.check(token)
        told = await asyncio.to_thread(claims.userinfo, call.server.store, token, owner)
    except OAuthError as error:
        if error.status not in {400, 401, 403}:
            raise
        needed = ', scope="openid"' if error.code is Code.INSUFFICIENT_SCOPE else ""
        challenge = f'{realm}, error="{error.code}", error_description="{error.description}"'
        return refused(error, challenge + needed)
    return said(told)


def _presented(call: Call) -> Presented | None:
    """Return the token that was sent as Bearer; None when no credential was."""
    header = call.request.headers.get("authorization")
    if header is None:
        return None
    if "authorization" in call.request.repeated:
        raise OAuthError(Code.INVALID_REQUEST, "more than one Authorization header")
    found = _BEARER.fullmatch(header)
    claimed = call.server.kind.claim(found[1]) if found is not None else None
    if claimed is None or isinstance(claimed, Refused):
        raise _invalid()
    return claimed[0]


def _said(presented: Presented) -> AccessToken:
    """Return what a token says: its scopes of OpenID Connect are no rights, and in no record."""
    if presented.signed is None or not isinstance(presented.signed.token, AccessToken):
        raise _invalid()
    return presented.signed.token


def _invalid() -> OAuthError:
    msg = "the access token is not valid here, has ended or was revoked"
    return OAuthError(Code.INVALID_TOKEN, msg, 401)
