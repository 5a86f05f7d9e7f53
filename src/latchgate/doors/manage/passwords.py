"""Account passwords: one's own changed with the current one, a user's first one issued.

Rule of this file: no password is worked on in the event loop or in a transaction; guesses at the
current one are throttled like those at every other door.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.model import Refused
from latchgate.core.network import Address
from latchgate.core.reason import Reason
from latchgate.core.secret import Secret, same
from latchgate.doors.manage.answers import json_answer
from latchgate.doors.manage.door import Door, caller, receipt
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body
from latchgate.doors.manage.shapes import ReceiptShape
from latchgate.manage import passwords
from latchgate.manage.errors import InvalidError, TooManyError
from latchgate.manage.passwords import FirstPassword, HeldPassword, PasswordChange
from latchgate.signin.rules import normalized, password_faults
from latchgate.store.errors import StoreError

_SALT_BYTES = 16
_RETRY_SECONDS = 60  # a guess too many waits a second at first and 15 minutes at last


@dataclass(frozen=True, slots=True)
class _Guess:
    password: Secret
    like: bytes | None
    account: str
    client: Address | None


class ChangedPassword(msgspec.Struct, frozen=True):
    """A password that took the place of the one before, and who follows."""

    login: str
    receipt: ReceiptShape


class NewPassword(msgspec.Struct, frozen=True):
    """A random password just issued, which is shown this once, and who follows."""

    user_id: str
    namespace: str
    login: str
    password: str
    receipt: ReceiptShape


class TakenPassword(msgspec.Struct, frozen=True):
    """A user has no password in the namespace any more, and who follows."""

    user_id: str
    namespace: str
    receipt: ReceiptShape


async def change_own_password(door: Door, request: HttpRequest) -> Response:
    """Change one's own password, and wait until the old one opens nothing."""
    asked = await read_body(request, PasswordChange)
    who, policy = caller(request), door.engine.policy
    held = await run_in_threadpool(passwords.held, door.store, policy, who, asked.namespace)
    current, wanted = normalized(asked.current_password), normalized(asked.new_password)
    faults = await run_in_threadpool(password_faults, wanted, known=held.known)
    if faults:
        raise InvalidError([("new_password", fault) for fault in faults])
    await _check(door, held, current, request.scope["latchgate.client"])
    if current == wanted:
        raise InvalidError([("new_password", "is the current one; choose another")])
    hashed = await _hashed(door, Secret(wanted))
    _, n = await run_in_threadpool(
        passwords.change,
        door.store,
        policy,
        who,
        held,
        hashed=hashed,
        entropy=door.entropy,
    )
    login = held.login.partition(":")[2]
    return json_answer(ChangedPassword(login=login, receipt=await receipt(door, n)))


async def issue_password(door: Door, request: HttpRequest) -> Response:
    """Issue a random password for a user; it is in this answer only."""
    spec = await read_body(request, FirstPassword)
    user_id, policy = request.path_params["user_id"], door.engine.policy
    issued = passwords.draw(policy, spec.namespace, entropy=door.entropy)
    hashed = await _hashed(door, issued.secret)
    login, n = await run_in_threadpool(
        passwords.set_first,
        door.store,
        policy,
        caller(request),
        user_id,
        spec=spec,
        issued=replace(issued, digest=hashed),
    )
    shown = NewPassword(
        user_id=user_id,
        namespace=spec.namespace,
        login=login,
        password=issued.secret.reveal(),
        receipt=await receipt(door, n),
    )
    return json_answer(shown, status=201)


async def disable_password(door: Door, request: HttpRequest) -> Response:
    """Take a user's password at once."""
    user_id, namespace = request.path_params["user_id"], request.path_params["namespace"]
    n = await run_in_threadpool(
        passwords.disable, door.store, door.engine.policy, caller(request), user_id, namespace
    )
    settled = await receipt(door, n)
    return json_answer(TakenPassword(user_id=user_id, namespace=namespace, receipt=settled))


async def _check(door: Door, held: HeldPassword, password: str, client: Address | None) -> None:
    """Raise InvalidError unless it is the current password, TooManyError when no guess is free."""
    guess = _Guess(Secret(password), held.digest, held.login, client)
    told = door.passwords.recall(guess)
    if told is None:
        # Shielded: the work goes on when the caller is gone, so its permit stays taken (D4.31).
        refused = await asyncio.shield(asyncio.wrap_future(door.passwords.submit(guess)))
        told = refused or door.passwords.recall(guess)
    if isinstance(told, Refused):
        raise _refusal(told)
    if told is None or not same(told, held.digest):
        raise InvalidError([("current_password", "is not the current password")])


async def _hashed(door: Door, password: Secret) -> bytes:
    salt = door.entropy(_SALT_BYTES)
    made = await asyncio.shield(asyncio.wrap_future(door.passwords.make(password, salt)))
    if isinstance(made, Refused):
        raise _refusal(made)
    return made


def _refusal(refused: Refused) -> Exception:
    if refused.reason in {Reason.PASSWORD_THROTTLED, Reason.PASSWORDS_BUSY}:
        return TooManyError(refused.detail, retry_after=_RETRY_SECONDS)
    return StoreError(refused.detail)


OPERATIONS = (
    Operation(
        "PUT",
        "/manage/v1/account/password",
        change_own_password,
        "Change the own password, with the current one and a receipt",
        "own:password.write",
        body=PasswordChange,
        answer=ChangedPassword,
        refusals=(404, 409, 413, 415, 422, 429),
    ),
    Operation(
        "POST",
        "/manage/v1/users/{user_id}/password",
        issue_password,
        "Issue a random password for a user, instead of the one they had",
        "manage:users.write",
        body=FirstPassword,
        answer=NewPassword,
        status=201,
        refusals=(404, 409, 413, 415, 422, 429),
    ),
    Operation(
        "DELETE",
        "/manage/v1/users/{user_id}/password/{namespace}",
        disable_password,
        "Take a user's password at once, with a receipt",
        "manage:users.write",
        answer=TakenPassword,
        refusals=(404, 422),
    ),
)
