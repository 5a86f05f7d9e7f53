"""Subaccounts: made with a password that can log in at once, changed, deleted.

Rule of this file: no password is worked on in the event loop or in a transaction.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.basic import MAX_LOGIN, MAX_PASSWORD
from latchgate.core.model import Refused
from latchgate.core.reason import Reason
from latchgate.core.secret import Secret
from latchgate.doors.door import Door, caller
from latchgate.doors.upcloud.account import Details, as_change, changed
from latchgate.doors.upcloud.call import Call
from latchgate.doors.upcloud.wire import nothing, read_body
from latchgate.manage import passwords, subaccounts
from latchgate.manage.accounts import NAMESPACE
from latchgate.manage.errors import InvalidError, TooManyError
from latchgate.signin.rules import normalized, password_faults
from latchgate.store.errors import StoreError

_SALT_BYTES = 16
_RETRY_SECONDS = 60
_PATH = "/1.3/account/sub"


class Subaccount(Details, frozen=True, kw_only=True):
    """A new subaccount; what is not told is empty, and API access is given."""

    username: Annotated[str, msgspec.Meta(max_length=MAX_LOGIN)]
    password: Annotated[str, msgspec.Meta(max_length=4 * MAX_PASSWORD)]

    def __repr__(self) -> str:
        return f"Subaccount({self.username})"


class Created(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The body that makes a subaccount."""

    sub_account: Subaccount


async def create_subaccount(door: Door, request: HttpRequest) -> Response:
    """Make a subaccount, whose password opens the API from this answer on."""
    told, who, policy = await _read(request), caller(request), door.engine.policy
    await run_in_threadpool(subaccounts.check_new, door.store, who, told.username)
    wanted = normalized(told.password)
    known = [told.username, *passwords.provider_words(policy), told.email or ""]
    faults = await run_in_threadpool(password_faults, wanted, known=known)
    if faults:
        raise InvalidError([("password", fault) for fault in faults])
    drawn = passwords.draw(policy, NAMESPACE, entropy=door.entropy)
    hashed = await _hashed(door, Secret(wanted))
    n = await run_in_threadpool(
        subaccounts.create,
        door.store,
        policy,
        who,
        told.username,
        as_change(told),
        issued=replace(drawn, digest=hashed),
        entropy=door.entropy,
    )
    await door.acknowledged(n)
    return nothing()


async def change_subaccount(door: Door, request: HttpRequest) -> Response:
    """Change a subaccount, and wait until every verifier follows."""
    await changed(door, request, sub=True)
    return nothing()


async def delete_subaccount(door: Door, request: HttpRequest) -> Response:
    """End a subaccount; when this answers, nobody accepts any credential of it any more."""
    username = request.path_params["username"]
    n = await run_in_threadpool(subaccounts.delete, door.store, caller(request), username)
    await door.acknowledged(n)
    return nothing()


async def _read(request: HttpRequest) -> Subaccount:
    if "xml" in request.headers.get("content-type", "").lower():
        return await read_body(request, Subaccount, "sub_account")
    return (await read_body(request, Created, "sub_account")).sub_account


async def _hashed(door: Door, password: Secret) -> bytes:
    salt = door.entropy(_SALT_BYTES)
    made = await asyncio.shield(asyncio.wrap_future(door.passwords.make(password, salt)))
    if isinstance(made, Refused):
        if made.reason is Reason.PASSWORDS_BUSY:
            raise TooManyError(made.detail, retry_after=_RETRY_SECONDS)
        raise StoreError(made.detail)
    return made


CALLS = (
    Call("POST", _PATH, create_subaccount, taken="RESOURCE_ALREADY_EXISTS"),
    Call("PUT", f"{_PATH}/{{username}}", change_subaccount, missing="USER_NOT_FOUND"),
    Call("DELETE", f"{_PATH}/{{username}}", delete_subaccount, missing="USER_NOT_FOUND"),
)
