"""Account passwords: one's own changed with the current one, a user's first one issued.

Rule of this file: no password is worked on in the event loop or in a transaction; guesses at the
current one are throttled like those at every other door.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.secret import Secret
from latchgate.doors.manage.answers import json_answer
from latchgate.doors.manage.door import Door, caller, receipt
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body
from latchgate.doors.manage.shapes import ReceiptShape
from latchgate.doors.typed import hashed, is_right
from latchgate.manage import passwords
from latchgate.manage.errors import InvalidError
from latchgate.manage.passwords import FirstPassword, PasswordChange
from latchgate.signin.rules import normalized, password_faults


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
    right = await is_right(
        door,
        Secret(current),
        account=held.login,
        like=held.digest,
        client=request.scope["latchgate.client"],
    )
    if not right:
        raise InvalidError([("current_password", "is not the current password")])
    if current == wanted:
        raise InvalidError([("new_password", "is the current one; choose another")])
    made = await hashed(door, Secret(wanted))
    _, n = await run_in_threadpool(
        passwords.change,
        door.store,
        policy,
        who,
        held,
        hashed=made,
        entropy=door.entropy,
    )
    login = held.login.partition(":")[2]
    return json_answer(ChangedPassword(login=login, receipt=await receipt(door, n)))


async def issue_password(door: Door, request: HttpRequest) -> Response:
    """Issue a random password for a user; it is in this answer only."""
    spec = await read_body(request, FirstPassword)
    user_id, policy = request.path_params["user_id"], door.engine.policy
    issued = passwords.draw(policy, spec.namespace, entropy=door.entropy)
    made = await hashed(door, issued.secret)
    login, n = await run_in_threadpool(
        passwords.set_first,
        door.store,
        policy,
        caller(request),
        user_id,
        spec=spec,
        issued=replace(issued, digest=made),
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
