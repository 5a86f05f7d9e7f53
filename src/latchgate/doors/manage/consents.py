"""What people let clients do, and as whom a tenant's clients act by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.timestamp import rfc3339
from latchgate.doors.lists import read_query
from latchgate.doors.manage.answers import json_answer, told
from latchgate.doors.manage.door import Door, caller, receipt
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_match
from latchgate.doors.manage.shapes import ReceiptShape
from latchgate.manage import client_grants, consents
from latchgate.manage.client_grants import ActingSpec, StoredActor

_OWN = "/manage/v1/account/consents"
_OF_USER = "/manage/v1/users/{user_id}/consents"
_GRANTS = "/manage/v1/oauth-grants"
_GRANT = f"{_GRANTS}/{{client_id}}"


class Consent(msgspec.Struct, frozen=True):
    """What a user lets a client do; `grants` is how many stand.

    A `first_party` client is Latchgate's own, which asks nobody.
    """

    client_id: str
    application_id: str
    application_name: str
    vendor: str
    first_party: bool
    scopes: list[str]
    given_at: str
    grants: int


class Consents(msgspec.Struct, frozen=True):
    """Every client that may act for a user, the longest first."""

    consents: list[Consent]


class WithdrawnConsent(msgspec.Struct, frozen=True):
    """A consent that was withdrawn with every grant of it, and who follows."""

    client_id: str
    receipt: ReceiptShape


class Acting(msgspec.Struct, frozen=True):
    """As whom a client acts; it did until `revoked_at`."""

    id: str
    user_id: str
    project_id: str
    scopes: list[str]
    created_at: str
    created_by: str
    revoked_at: str | None
    disabled_at: str | None


class ActingClient(msgspec.Struct, frozen=True):
    """A client that may act by itself, and as whom it does; `scopes` are the most it can have."""

    client_id: str
    application_id: str
    application_name: str
    application_state: Literal["requested", "approved", "refused", "suspended", "withdrawn"]
    scopes: list[str]
    disabled_at: str | None
    acts_as: Acting | None
    version: int


class ChangedActingClient(ActingClient, frozen=True, kw_only=True):
    """A client that acts as somebody from now on, or as nobody, and who follows."""

    receipt: ReceiptShape


class ActingClientPage(msgspec.Struct, frozen=True):
    """A page of clients, oldest first; `next` is the `after` of the following page."""

    oauth_grants: list[ActingClient]
    next: str | None


async def list_own_consents(door: Door, request: HttpRequest) -> Response:
    """List the clients that may act for oneself."""
    return await _list(door, request, None)


async def withdraw_own_consent(door: Door, request: HttpRequest) -> Response:
    """End what a client may do for oneself."""
    return await _withdraw(door, request, None)


async def list_consents_of_user(door: Door, request: HttpRequest) -> Response:
    """List the clients that may act for a user of the caller's tenant."""
    return await _list(door, request, request.path_params["user_id"])


async def withdraw_consent_of_user(door: Door, request: HttpRequest) -> Response:
    """End what a client may do for a user of the caller's tenant."""
    return await _withdraw(door, request, request.path_params["user_id"])


async def _list(door: Door, request: HttpRequest, user_id: str | None) -> Response:
    found = await run_in_threadpool(consents.listed, door.store, caller(request), user_id)
    return json_answer(
        Consents([told(one, Consent, given_at=rfc3339(one.given_at)) for one in found])
    )


async def _withdraw(door: Door, request: HttpRequest, user_id: str | None) -> Response:
    client_id = request.path_params["client_id"]
    n = await run_in_threadpool(consents.withdraw, door.store, caller(request), client_id, user_id)
    return json_answer(WithdrawnConsent(client_id, await receipt(door, n)))


async def list_oauth_grants(door: Door, request: HttpRequest) -> Response:
    """Page through the clients of the caller's tenant that may act by themselves."""
    query = read_query(request.query_params.multi_items(), client_grants.LISTING)
    found, following = await run_in_threadpool(
        client_grants.listed, door.store, caller(request), query, now=door.clock()
    )
    return json_answer(ActingClientPage([_shape(one) for one in found], following))


async def show_oauth_grant(door: Door, request: HttpRequest) -> Response:
    """Show as whom a client of the caller's tenant acts."""
    client_id = request.path_params["client_id"]
    found = await run_in_threadpool(client_grants.shown, door.store, caller(request), client_id)
    return json_answer(_shape(found), version=found.version)


async def set_oauth_grant(door: Door, request: HttpRequest) -> Response:
    """Let a client act as a service user of the caller's tenant."""
    match = read_match(request)
    spec = await read_body(request, ActingSpec)
    found, n = await run_in_threadpool(
        client_grants.act_as,
        door.store,
        door.engine.policy,
        caller(request),
        request.path_params["client_id"],
        spec,
        match=match,
        entropy=door.entropy,
    )
    return await _changed(door, found, n)


async def withdraw_oauth_grant(door: Door, request: HttpRequest) -> Response:
    """Let a client act as nobody any more."""
    found, n = await run_in_threadpool(
        client_grants.withdraw,
        door.store,
        caller(request),
        request.path_params["client_id"],
        match=read_match(request),
    )
    return await _changed(door, found, n)


async def _changed(door: Door, found: StoredActor, n: int) -> Response:
    shape = _shape(found, ChangedActingClient, receipt=await receipt(door, n))
    return json_answer(shape, version=found.version)


def _shape(
    found: StoredActor,
    shape: type[ActingClient] = ActingClient,
    **more: Any,  # noqa: ANN401 - fields
) -> ActingClient:
    acting = told(found.acts_as, Acting) if found.acts_as is not None else None
    return told(found, shape, acts_as=acting, **more)


OPERATIONS = (
    Operation(
        "GET",
        _OWN,
        list_own_consents,
        "List the clients that may act for oneself",
        "own:consents.read",
        answer=Consents,
    ),
    Operation(
        "DELETE",
        f"{_OWN}/{{client_id}}",
        withdraw_own_consent,
        "End what a client may do for oneself, with a receipt",
        "own:consents.write",
        answer=WithdrawnConsent,
        refusals=(404,),
    ),
    Operation(
        "GET",
        _OF_USER,
        list_consents_of_user,
        "List the clients that may act for a user",
        "manage:users.read",
        answer=Consents,
        refusals=(404,),
    ),
    Operation(
        "DELETE",
        f"{_OF_USER}/{{client_id}}",
        withdraw_consent_of_user,
        "End what a client may do for a user, with a receipt",
        "manage:users.write",
        answer=WithdrawnConsent,
        refusals=(404,),
    ),
    Operation(
        "GET",
        _GRANTS,
        list_oauth_grants,
        "List the clients of the tenant that may act by themselves",
        "manage:oauth-clients.read",
        answer=ActingClientPage,
        listing=client_grants.LISTING,
        refusals=(422,),
    ),
    Operation(
        "GET",
        _GRANT,
        show_oauth_grant,
        "Show as whom a client acts",
        "manage:oauth-clients.read",
        answer=ActingClient,
        refusals=(404,),
    ),
    Operation(
        "PUT",
        _GRANT,
        set_oauth_grant,
        "Let a client act as a service user by client credentials, with a receipt",
        "manage:oauth-clients.write",
        body=ActingSpec,
        answer=ChangedActingClient,
        conditional=True,
        refusals=(404, 409, 413, 415, 422),
    ),
    Operation(
        "DELETE",
        _GRANT,
        withdraw_oauth_grant,
        "Let a client act as nobody any more, with a receipt",
        "manage:oauth-clients.write",
        answer=ChangedActingClient,
        conditional=True,
        refusals=(404,),
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
_CONSENT = {
    "client_id": "client-4k8m2p6r0t3v7x1z",
    "application_id": "app-3v9q1m7x2abk8f0d",
    "application_name": "Photos",
    "vendor": "Example AG",
    "first_party": False,
    "scopes": ["openid", "storage:read"],
    "given_at": _AT,
    "grants": 1,
}
_ACTING_SPEC = {"user_id": "u-7h4c0p2rw9x5f3am", "scopes": ["storage:read"]}
_ACTING = {
    "client_id": "client-4k8m2p6r0t3v7x1z",
    "application_id": "app-3v9q1m7x2abk8f0d",
    "application_name": "Nightly reports",
    "application_state": "approved",
    "scopes": ["storage:read", "storage:write"],
    "disabled_at": None,
    "acts_as": {
        **_ACTING_SPEC,
        "id": "grant-9f3kq2m7x1vb4c8d",
        "project_id": "p-2b7wq9h4zk3m6t1x",
        "created_at": _AT,
        "created_by": "user:u-2c9d4e1f6a8b3k5m key:k3v9q1m7x2ab",
        "revoked_at": None,
        "disabled_at": None,
    },
    "version": 72,
}
EXAMPLES: Mapping[type, dict[str, Any]] = {
    Consent: _CONSENT,
    Consents: {"consents": [_CONSENT]},
    WithdrawnConsent: {"client_id": _CONSENT["client_id"], "receipt": _RECEIPT},
    ActingSpec: _ACTING_SPEC,
    ActingClient: _ACTING,
    ChangedActingClient: {**_ACTING, "receipt": _RECEIPT},
    ActingClientPage: {"oauth_grants": [_ACTING], "next": None},
}
