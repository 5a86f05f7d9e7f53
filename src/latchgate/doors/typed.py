"""Passwords that people typed: checked and hashed beside the event loop, which waits for neither.

Rule of this file: a password is throttled by whose it is and by who tries, and what is wrong about
a guess is told to nobody.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest

from latchgate.core.basic import MAX_PASSWORD
from latchgate.core.model import Refused
from latchgate.core.network import Address
from latchgate.core.reason import Reason
from latchgate.core.secret import Secret, same
from latchgate.doors.door import Door, caller
from latchgate.manage import step_up
from latchgate.manage.actor import Caller
from latchgate.manage.errors import TooManyError
from latchgate.signin.rules import normalized
from latchgate.store.errors import StoreError

_SALT_BYTES = 16
_RETRY_SECONDS = 60  # a guess too many waits a second at first and 15 minutes at last


@dataclass(frozen=True, slots=True)
class _Guess:
    password: Secret
    like: bytes | None
    account: str
    client: Address | None
    credential_id: str = ""


async def is_right(
    door: Door, password: Secret, *, account: str, like: bytes | None, client: Address | None
) -> bool:
    """Whether a password (NFC) is the one that `like` was made of; never where it is None.

    `account` is the login it was tried for, namespace included. TooManyError when no guess is free.
    """
    guess = _Guess(password, like, account, client)
    told = door.passwords.recall(guess)
    if told is None:
        # Shielded: the work goes on when the caller is gone, so its permit stays taken (D4.31).
        refused = await asyncio.shield(asyncio.wrap_future(door.passwords.submit(guess)))
        told = refused or door.passwords.recall(guess)
    if isinstance(told, Refused):
        raise _refusal(told)
    return told is not None and like is not None and same(told, like)


async def hashed(door: Door, password: Secret) -> bytes:
    """Return a new password (NFC) as argon2id in PHC form; TooManyError when too many wait."""
    salt = door.entropy(_SALT_BYTES)
    made = await asyncio.shield(asyncio.wrap_future(door.passwords.make(password, salt)))
    if isinstance(made, Refused):
        raise _refusal(made)
    return made


async def proven(door: Door, request: HttpRequest, password: str | None) -> bool:
    """Whether the owner's password came with a request that takes it again; False without one.

    StepUpError for a wrong one, and the same, after the same work, for an owner who has none.
    """
    if password is None:
        return False
    await prove(door, caller(request), password, client=request.scope["latchgate.client"])
    return True


async def prove(door: Door, who: Caller, password: str, *, client: Address | None) -> None:
    """Check the password by which a caller proves once more who they are; StepUpError, as above."""
    held = await run_in_threadpool(step_up.password_of, door.store, door.engine.policy, who)
    typed = normalized(password)
    right = 0 < len(typed) <= MAX_PASSWORD and await is_right(
        door,
        Secret(typed),
        account=held.login if held is not None else f"step-up:{who.owner.id}",
        like=held.digest if held is not None else None,
        client=client,
    )
    if not right:
        raise step_up.unproven()


def _refusal(refused: Refused) -> Exception:
    if refused.reason in {Reason.PASSWORD_THROTTLED, Reason.PASSWORDS_BUSY}:
        return TooManyError(refused.detail, retry_after=_RETRY_SECONDS)
    return StoreError(refused.detail)
