"""Tokens revoked and looked at by clients, and device authorizations begun by them."""

from __future__ import annotations

import asyncio
import math

from latchgate.doors.oauth.answers import Answer, said
from latchgate.doors.oauth.call import Call, TooManyError
from latchgate.oauth import device, discovery, introspection, revocation
from latchgate.oauth.clients import GrantType
from latchgate.oauth.errors import Code
from latchgate.oauth.scopes import read_scopes, within


async def revoke(call: Call) -> Answer:
    """Revoke a token, and answer when nobody accepts it any more: `POST /oauth/revoke`."""
    client = await call.client()
    text = call.form.need("token")
    n = await asyncio.to_thread(revocation.revoke, call.server, client, text, address=call.address)
    if n is not None:
        await call.desk.door.acknowledged(n)
    return Answer(200)


async def introspect(call: Call) -> Answer:
    """Tell an API what a token is: `POST /oauth/introspect`."""
    server = call.server
    moment = server.moment()  # before anything is read: what is read is at least as new
    found = await call.proven()
    introspection.may_ask(found.client)
    text = call.form.need("token")
    told = await asyncio.to_thread(introspection.introspect, server, found.client, text)
    if told is None:
        return Answer(200, introspection.INACTIVE)
    until, body = told
    if found.until is not None:
        until = min(until, found.until)
    call.desk.introspected.keep(call.question, moment, (until, body))
    return Answer(200, body)


async def authorize_device(call: Call) -> Answer:
    """Begin a device authorization: `POST /oauth/device_authorization` (RFC 8628 §3.1)."""
    client = await call.client()
    client.may(GrantType.DEVICE_CODE)
    scope = call.form.get("scope")
    scopes = within(read_scopes(scope) if scope is not None else (), client.scopes, "the client")
    server, desk = call.server, call.desk
    wait = desk.devices.take(call.request.client, desk.door.ticks())
    if wait:
        msg = "too many devices were begun from this address of late"
        raise TooManyError(Code.SLOW_DOWN, msg, math.ceil(wait))
    begun = await asyncio.to_thread(
        device.begin,
        server.store,
        client,
        scopes,
        address=call.address,
        now=server.clock(),
        entropy=server.entropy,
    )
    page = server.issuer + discovery.VERIFICATION
    return said(
        {
            "device_code": begun.device_code.reveal(),
            "user_code": begun.user_code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?user_code={begun.user_code}",
            "expires_in": begun.expires_in,
            "interval": begun.interval,
        }
    )
