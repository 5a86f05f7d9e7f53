"""What is running: nodes, who follows the journal and how far, who runs the jobs, last receipts."""

from __future__ import annotations

from typing import Literal

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.location import Postgres
from latchgate.core.timestamp import rfc3339
from latchgate.doors.manage.answers import json_answer
from latchgate.doors.manage.door import Door
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.receipts import GivenReceipt, given_shape
from latchgate.store.bell import Listener
from latchgate.store.duty import JOBS, NOBODY, read_duty
from latchgate.store.verifiers import Follower, Following
from latchgate.verify.receipt import listener_id

_RECEIPTS = 5


class VerifierStatus(msgspec.Struct, frozen=True):
    """One memory that follows the journal: `lag` changes behind its head.

    `seen_seconds_ago` is the age of its last heartbeat, `trust_seconds` for how long it believes
    what it remembers after one; both are null on the machine of a SQLite database, where every
    decision looks. `stale` says that this is the bound of `stale_while_unreachable`. `tenants` are
    those that an edge serves, null for all. A `leaving` one is believed to be gone.
    """

    id: str
    kind: str
    node: str | None
    process: int
    state: Literal["live", "leaving"]
    acknowledged: int
    lag: int
    trust_seconds: float | None
    stale: bool
    joined_at: str | None
    seen_seconds_ago: float | None
    program: str | None
    schema: str | None
    tenants: list[str] | None


class Status(msgspec.Struct, frozen=True):
    """The whole server, as its database has it.

    `head` is the number of the last change. Numbers belong to an `epoch` and to the database's own
    `timeline`; while that is not `settled`, after a restore or a promotion, receipts wait for
    1.25 × `max_trust_seconds` whatever is acknowledged. `jobs` names the process that runs them,
    null where one of this machine's does.
    """

    database: Literal["sqlite", "postgresql"]
    head: int
    policy_version: int
    epoch: str
    timeline: str | None
    settled: bool
    max_trust_seconds: float
    gateway_tail_seconds: float
    jobs: str | None
    verifiers: list[VerifierStatus]
    receipts: list[GivenReceipt]


async def show_status(door: Door, _request: HttpRequest) -> Response:
    """Show what is running."""
    return json_answer(await run_in_threadpool(_status, door))


def _status(door: Door) -> Status:
    found = door.verifiers.looked()
    shared = isinstance(door.store.database, Postgres)
    duty = read_duty(door.store, JOBS) if shared else None
    bell = door.store.bell
    here = [_listening(one, found.head) for one in bell.listeners()] if bell is not None else []
    return Status(
        database="postgresql" if shared else "sqlite",
        head=found.head,
        policy_version=door.engine.policy.version,
        epoch=found.epoch,
        timeline=found.timeline or None,
        settled=found.settled,
        max_trust_seconds=found.max_trust,
        gateway_tail_seconds=found.gateway_tail,
        jobs=duty.holder if duty is not None and duty.holder != NOBODY else None,
        verifiers=here + [_following(one, found, door.clock()) for one in found.followers],
        receipts=[given_shape(one) for one in door.verifiers.noted(_RECEIPTS)],
    )


def _listening(one: Listener, head: int) -> VerifierStatus:
    return VerifierStatus(
        id=listener_id(one),
        kind="node",
        node=None,
        process=one.process_id,
        state="live",
        acknowledged=one.acknowledged,
        lag=max(0, head - one.acknowledged),
        trust_seconds=None,
        stale=False,
        joined_at=None,
        seen_seconds_ago=None,
        program=None,
        schema=None,
        tenants=None,
    )


def _following(one: Follower, found: Following, now: float) -> VerifierStatus:
    return VerifierStatus(
        id=one.incarnation,
        kind=one.kind,
        node=one.node,
        process=one.process,
        state="live" if one.state == "live" else "leaving",
        acknowledged=one.acknowledged,
        lag=max(0, found.head - one.acknowledged),
        trust_seconds=one.trust,
        stale=one.stale,
        joined_at=rfc3339(one.joined_at),
        seen_seconds_ago=round(max(0.0, now - one.seen_at), 3),
        program=one.program,
        schema=one.schema,
        tenants=list(one.tenants) if one.tenants is not None else None,
    )


OPERATIONS = (
    Operation(
        "GET",
        "/manage/v1/status",
        show_status,
        "What is running: verifiers, jobs, last receipts",
        "operator:status.read",
        answer=Status,
    ),
)
