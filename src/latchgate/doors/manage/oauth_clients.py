"""OAuth2 clients, for the operator: made with a secret that is shown once, changed, withdrawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.doors.lists import read_query
from latchgate.doors.manage.answers import creation, json_answer, told
from latchgate.doors.manage.door import Door, caller, receipt
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_match, read_once, read_optional_body
from latchgate.doors.manage.shapes import ReceiptShape, Revoked
from latchgate.manage import client_secrets, oauth_clients
from latchgate.manage.application_keys import StoredApplicationKey
from latchgate.manage.client_secrets import SecretSpec
from latchgate.manage.oauth_clients import ClientPatch, ClientSpec, StoredClient

_PATH = "/manage/v1/oauth-clients"
_ONE = f"{_PATH}/{{client_id}}"


class ClientSecretShape(msgspec.Struct, frozen=True):
    """A secret of a client, never its text; one that was replaced works until `expires_at`."""

    id: str
    created_at: str
    expires_at: str | None
    superseded_by: str | None


class OauthClient(msgspec.Struct, frozen=True):
    """A client as the operator sees it; `id` is its `client_id`."""

    id: str
    application_id: str
    application_name: str
    application_state: Literal["requested", "approved", "refused", "suspended", "withdrawn"]
    tenant_id: str | None
    state: oauth_clients.ClientState
    public: bool
    first_party: bool
    redirect_uris: list[str]
    post_logout_redirect_uris: list[str]
    grant_types: list[str]
    scopes: list[str]
    grant_id: str | None
    created_at: str
    created_by: str
    disabled_at: str | None
    withdrawn_at: str | None
    secrets: list[ClientSecretShape]
    version: int


class NewOauthClient(OauthClient, frozen=True, kw_only=True):
    """A client just made, with its secret, which is shown this once; null for a public one."""

    client_secret: str | None


class ChangedOauthClient(OauthClient, frozen=True, kw_only=True):
    """A client that was changed, switched or withdrawn, and who follows."""

    receipt: ReceiptShape


class OauthClientPage(msgspec.Struct, frozen=True):
    """A page of clients, oldest first; `next` is the `after` of the following page."""

    oauth_clients: list[OauthClient]
    next: str | None


class NewClientSecret(ClientSecretShape, frozen=True, kw_only=True):
    """A secret just made, with its text, which is shown this once."""

    client_secret: str
    receipt: ReceiptShape


async def create_oauth_client(door: Door, request: HttpRequest) -> Response:
    """Make a client; its secret is in this answer only."""
    spec = await read_body(request, ClientSpec)
    made, issued, new = await run_in_threadpool(
        oauth_clients.create,
        door.store,
        door.engine.policy,
        caller(request),
        spec,
        now=door.clock(),
        entropy=door.entropy,
        once=read_once(request, spec),
    )
    shape: OauthClient = _shape(made)
    if new:
        secret = issued.secret.reveal() if issued is not None else None
        shape = _shape(made, NewOauthClient, client_secret=secret)
    return creation(shape, f"{_PATH}/{made.id}", made.version, new=new)


async def list_oauth_clients(door: Door, request: HttpRequest) -> Response:
    """Page through clients."""
    query = read_query(request.query_params.multi_items(), oauth_clients.LISTING)
    found, following = await run_in_threadpool(
        oauth_clients.listed, door.store, door.engine.policy, query, now=door.clock()
    )
    return json_answer(OauthClientPage([_shape(one) for one in found], following))


async def show_oauth_client(door: Door, request: HttpRequest) -> Response:
    """Show a client."""
    found = await run_in_threadpool(
        oauth_clients.shown,
        door.store,
        door.engine.policy,
        request.path_params["client_id"],
        now=door.clock(),
    )
    return json_answer(_shape(found), version=found.version)


async def change_oauth_client(door: Door, request: HttpRequest) -> Response:
    """Change what a client may do; what it loses its grants lose at once."""
    match = read_match(request)
    patch = await read_body(request, ClientPatch)
    found, n = await run_in_threadpool(
        oauth_clients.change_client,
        door.store,
        door.engine.policy,
        caller(request),
        request.path_params["client_id"],
        patch,
        match=match,
    )
    return await _changed(door, found, n)


async def disable_oauth_client(door: Door, request: HttpRequest) -> Response:
    """Switch a client off, with its grants."""
    return await _switch(door, request, oauth_clients.disable)


async def enable_oauth_client(door: Door, request: HttpRequest) -> Response:
    """Switch a client on again, with the grants that went off with it."""
    return await _switch(door, request, oauth_clients.enable)


async def withdraw_oauth_client(door: Door, request: HttpRequest) -> Response:
    """End a client for good, with its grants and secrets."""
    return await _switch(door, request, oauth_clients.withdraw)


async def renew_client_secret(door: Door, request: HttpRequest) -> Response:
    """Make a new secret in the place of the one before; it is in this answer only."""
    match = read_match(request)
    spec = await read_optional_body(request, SecretSpec)
    key, issued, n = await run_in_threadpool(
        client_secrets.renew,
        door.store,
        door.engine.policy,
        caller(request),
        request.path_params["client_id"],
        spec if spec is not None else SecretSpec(),
        match=match,
        entropy=door.entropy,
    )
    if issued is None:
        raise RuntimeError("a secret that was not made before came without its text")
    text = issued.secret.reveal()
    shape = told(key, NewClientSecret, client_secret=text, receipt=await receipt(door, n))
    return json_answer(shape, status=201)


async def revoke_client_secret(door: Door, request: HttpRequest) -> Response:
    """Revoke one secret at once."""
    key, n = await run_in_threadpool(
        client_secrets.revoke,
        door.store,
        door.engine.policy,
        caller(request),
        request.path_params["client_id"],
        request.path_params["secret_id"],
    )
    return json_answer(told(key, Revoked, receipt=await receipt(door, n)))


async def _switch(
    door: Door, request: HttpRequest, act: Callable[..., tuple[StoredClient, int]]
) -> Response:
    found, n = await run_in_threadpool(
        act,
        door.store,
        door.engine.policy,
        caller(request),
        request.path_params["client_id"],
        match=read_match(request),
    )
    return await _changed(door, found, n)


async def _changed(door: Door, found: StoredClient, n: int) -> Response:
    shape = _shape(found, ChangedOauthClient, receipt=await receipt(door, n))
    return json_answer(shape, version=found.version)


def _shape(
    found: StoredClient,
    shape: type[OauthClient] = OauthClient,
    **more: Any,  # noqa: ANN401 - fields
) -> OauthClient:
    secrets = [_secret(one) for one in found.secrets]
    return told(found, shape, state=found.state, secrets=secrets, **more)


def _secret(key: StoredApplicationKey) -> ClientSecretShape:
    return told(key, ClientSecretShape)


_READ, _WRITE = "operator:oauth-clients.read", "operator:oauth-clients.write"


def _switching(method: str, path: str, handler: Callable[..., Any], words: str) -> Operation:
    return Operation(
        method,
        path,
        handler,
        words,
        _WRITE,
        answer=ChangedOauthClient,
        conditional=True,
        refusals=(404, 409),
    )


OPERATIONS = (
    Operation(
        "POST",
        _PATH,
        create_oauth_client,
        "Make an OAuth2 client of an approved application, or of a new one",
        _WRITE,
        body=ClientSpec,
        answer=NewOauthClient,
        status=201,
        replay=OauthClient,
        refusals=(409, 413, 415, 422),
    ),
    Operation(
        "GET",
        _PATH,
        list_oauth_clients,
        "List OAuth2 clients, oldest first",
        _READ,
        answer=OauthClientPage,
        listing=oauth_clients.LISTING,
        refusals=(422,),
    ),
    Operation(
        "GET",
        _ONE,
        show_oauth_client,
        "Show an OAuth2 client",
        _READ,
        answer=OauthClient,
        refusals=(404,),
    ),
    Operation(
        "PATCH",
        _ONE,
        change_oauth_client,
        "Change what an OAuth2 client may do, with a receipt",
        _WRITE,
        body=ClientPatch,
        answer=ChangedOauthClient,
        conditional=True,
        refusals=(404, 409, 413, 415, 422),
    ),
    _switching("DELETE", _ONE, withdraw_oauth_client, "Withdraw an OAuth2 client for good"),
    _switching(
        "POST",
        f"{_ONE}/disable",
        disable_oauth_client,
        "Switch an OAuth2 client off with its grants, with a receipt",
    ),
    _switching(
        "POST",
        f"{_ONE}/enable",
        enable_oauth_client,
        "Switch an OAuth2 client on again with the grants that went off with it",
    ),
    Operation(
        "POST",
        f"{_ONE}/secrets",
        renew_client_secret,
        "Make a new secret; the one before ends at once, or after a grace",
        _WRITE,
        body=SecretSpec,
        answer=NewClientSecret,
        status=201,
        conditional=True,
        optional=True,
        refusals=(404, 409, 413, 415, 422),
    ),
    Operation(
        "DELETE",
        f"{_ONE}/secrets/{{secret_id}}",
        revoke_client_secret,
        "Revoke a secret of an OAuth2 client, with a receipt",
        _WRITE,
        answer=Revoked,
        refusals=(404, 409),
    ),
)

_AT = "2026-10-01T09:30:00Z"
_RECEIPT = {
    "journal": 52,
    "at": _AT,
    "elapsed_ms": 3.2,
    "verifiers": [
        {
            "id": "00c0ffee00c0ffee",
            "process": 4711,
            "state": "acknowledged",
            "kind": "node",
            "node": "node-1",
            "trust_seconds": 2.0,
            "stale": False,
        }
    ],
    "known": True,
    "waited": True,
}
_SPEC = {
    "application_id": "app-3v9q1m7x2abk8f0d",
    "scopes": ["openid", "profile", "storage:read"],
    "grant_types": ["authorization_code", "refresh_token"],
    "redirect_uris": ["https://photos.example.com/callback"],
    "post_logout_redirect_uris": ["https://photos.example.com/"],
}
_SECRET = {
    "id": "cs-8f2c0d4e6a1b3c5d",
    "created_at": _AT,
    "expires_at": None,
    "superseded_by": None,
}
_SHOWN = {
    **_SPEC,
    "id": "client-4k8m2p6r0t3v7x1z",
    "application_name": "Photos",
    "application_state": "approved",
    "tenant_id": None,
    "state": "active",
    "public": False,
    "first_party": False,
    "grant_id": None,
    "created_at": _AT,
    "created_by": "user:u-7h4c0p2rw9x5f3am key:k3v9q1m7x2ab",
    "disabled_at": None,
    "withdrawn_at": None,
    "secrets": [_SECRET],
    "version": 71,
}
EXAMPLES: Mapping[type, dict[str, Any]] = {
    ClientSpec: _SPEC,
    ClientPatch: {"scopes": ["openid", "profile"]},
    SecretSpec: {"grace": "7d"},
    OauthClient: _SHOWN,
    NewOauthClient: {**_SHOWN, "client_secret": "shown this once"},
    ChangedOauthClient: {**_SHOWN, "receipt": _RECEIPT},
    OauthClientPage: {"oauth_clients": [_SHOWN], "next": None},
    NewClientSecret: {**_SECRET, "client_secret": "shown this once", "receipt": _RECEIPT},
}
