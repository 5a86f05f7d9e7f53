"""The token endpoint: one grant type, one function of `oauth` (RFC 6749 §3.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from latchgate.core.secret import Secret
from latchgate.doors.oauth.answers import Answer, said
from latchgate.doors.oauth.call import Call
from latchgate.doors.oauth.statement import exchange_statement
from latchgate.oauth import authorization_code, client_credentials, device, exchange
from latchgate.oauth.clients import GrantType
from latchgate.oauth.codes import Exchange
from latchgate.oauth.errors import Code, OAuthError
from latchgate.oauth.minting import TokenAnswer


async def token(call: Call) -> Answer:
    """Answer a grant: `POST /oauth/token`."""
    name = call.form.need("grant_type")
    grant = _GRANTS.get(name)
    if grant is None:
        msg = f"grant_type is none of {', '.join(_GRANTS)}"
        raise OAuthError(Code.UNSUPPORTED_GRANT_TYPE, msg)
    return said(await grant(call))


async def _code(call: Call) -> TokenAnswer:
    client = await call.client()
    client.may(GrantType.AUTHORIZATION_CODE)
    form = call.form
    sent = Exchange(form.need("code"), form.need("redirect_uri"), form.need("code_verifier"))
    return await asyncio.to_thread(
        authorization_code.by_code, call.server, client, sent, address=call.address
    )


async def _refresh(call: Call) -> TokenAnswer:
    client = await call.client()
    client.may(GrantType.REFRESH_TOKEN)
    return await asyncio.to_thread(
        authorization_code.by_refresh,
        call.server,
        client,
        call.form.need("refresh_token"),
        scope=call.form.get("scope"),
        address=call.address,
    )


async def _client(call: Call) -> TokenAnswer:
    client = await call.client()
    client.may(GrantType.CLIENT_CREDENTIALS)
    server, scope = call.server, call.form.get("scope")
    if server.signers.ready() is not None:
        # Nothing to wait for: all is in memory, and a thread would cost as much as the token.
        return client_credentials.by_itself(server, client, scope=scope)
    return await asyncio.to_thread(client_credentials.by_itself, server, client, scope=scope)


async def _device(call: Call) -> TokenAnswer:
    client = await call.client()
    client.may(GrantType.DEVICE_CODE)
    code = call.form.need("device_code")
    return await asyncio.to_thread(
        device.by_device, call.server, client, code, address=call.address
    )


async def _exchange(call: Call) -> TokenAnswer:
    form, client = call.form, None
    # A workload is no client: it has nothing to prove itself with but what its issuer signed.
    if form.get("subject_token_type") not in exchange.STATEMENTS:
        found = await call.proven_if_any()
        client = found.client if found is not None else None
    if client is not None:
        client.may(GrantType.TOKEN_EXCHANGE)
    if form.get("actor_token") is not None or form.get("actor_token_type") is not None:
        msg = "who acts is the client that asks: actor_token is not taken"
        raise OAuthError(Code.INVALID_REQUEST, msg)
    targets = tuple(one for one in (form.get("audience"), form.get("resource")) if one is not None)
    asked = exchange.Asked(
        subject=Secret(form.need("subject_token")),
        subject_type=form.need("subject_token_type"),
        scope=form.get("scope"),
        targets=targets,
        requested_type=form.get("requested_token_type"),
    )
    exchange.check(call.server, asked)
    if asked.subject_type in exchange.STATEMENTS:
        return await exchange_statement(call, asked)
    for claim in exchange.claims(call.server.engine.policy, asked):
        decision = await call.decide(claim)
        if decision.allowed and decision.grant is not None:
            grant = decision.grant
            return await asyncio.to_thread(exchange.exchanged, call.server, client, asked, grant)
    raise exchange.refused()


_GRANTS: dict[str, Callable[[Call], Awaitable[TokenAnswer]]] = {
    GrantType.AUTHORIZATION_CODE: _code,
    GrantType.REFRESH_TOKEN: _refresh,
    GrantType.CLIENT_CREDENTIALS: _client,
    GrantType.DEVICE_CODE: _device,
    GrantType.TOKEN_EXCHANGE: _exchange,
}
