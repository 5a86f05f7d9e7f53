"""Credentials as they are shown: times as text, the state that they are in, their last use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from latchgate.core.timestamp import maybe_rfc3339, rfc3339
from latchgate.doors.manage.answers import json_answer
from latchgate.doors.manage.door import Door, receipt
from latchgate.doors.manage.shapes import ReceiptShape
from latchgate.manage.states import Stateful, state_of
from latchgate.store.usage import LastUse

_TIMES = ("created_at", "expires_at", "revoked_at", "disabled_at", "superseded_at")
_Shape = TypeVar("_Shape", bound=msgspec.Struct)


class StoredCredential(Stateful, Protocol):
    """A credential as some noun stores it; a struct."""

    __struct_fields__: ClassVar[tuple[str, ...]]

    @property
    def id(self) -> str:
        """Its public id."""
        ...


class DeletedCredential(msgspec.Struct, frozen=True):
    """A deleted credential's receipt."""

    id: str
    deleted_at: str
    receipt: ReceiptShape


def told(stored: StoredCredential, now: float, use: LastUse | None) -> dict[str, Any]:
    """Return what is told of a stored credential; shapes take what they show of it."""
    fields = {name: getattr(stored, name) for name in stored.__struct_fields__}
    fields |= {name: maybe_rfc3339(fields[name]) for name in _TIMES}
    return fields | {
        "state": state_of(stored, now),
        "last_used_at": rfc3339(use.at) if use is not None else None,
        "last_used_from": use.address if use is not None else None,
        "last_used_agent": use.agent if use is not None else None,
    }


async def seen(door: Door, stored: StoredCredential, shape: type[_Shape]) -> _Shape:
    """Show one with its last use."""
    return (await all_seen(door, [stored], shape, door.clock()))[0]


async def all_seen(
    door: Door, found: Sequence[StoredCredential], shape: type[_Shape], now: float
) -> list[_Shape]:
    """Show some with the last use of each."""
    uses = await run_in_threadpool(door.usage.last_uses, [one.id for one in found])
    return [msgspec.convert(told(one, now, uses.get(one.id)), shape) for one in found]


async def deleted(door: Door, stored: StoredCredential, n: int) -> Response:
    """Answer a deletion once every verifier follows it."""
    shown = DeletedCredential(
        id=stored.id,
        deleted_at=rfc3339(stored.revoked_at or door.clock()),
        receipt=await receipt(door, n),
    )
    return json_answer(shown)
