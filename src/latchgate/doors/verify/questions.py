"""`POST /` on the verify address: decisions as JSON, one request or a batch, without a gateway."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from latchgate.core.answer import identity, notices, refusal
from latchgate.core.model import Decision, Request
from latchgate.core.network import parse_address
from latchgate.core.reason import Reason
from latchgate.verify.shadow import Settled

MAX_BATCH = 100
_Short = Annotated[str, msgspec.Meta(max_length=16_384)]


class Question(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One original request: `target` is path and query as they arrived.

    `headers` maps a name to its value, or to all its values when it came more than once.
    """

    method: _Short
    target: _Short
    host: _Short = ""
    headers: dict[_Short, _Short | list[_Short]] = {}
    client: _Short | None = None
    tls: bool = False


class Batch(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Several requests, answered in order."""

    requests: Annotated[list[Question], msgspec.Meta(min_length=1, max_length=MAX_BATCH)]


class Answer(msgspec.Struct, frozen=True):
    """A decision: what to pass upstream when allowed, what to answer when not."""

    allowed: bool
    status: int
    identity: dict[str, str]
    headers: dict[str, str]
    body: str
    decision: str | None


_one = msgspec.json.Decoder(Question).decode
_many = msgspec.json.Decoder(Batch).decode
_shape = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read_questions(body: bytes) -> tuple[list[Request], bool]:
    """Read what a body asks, and whether it asked as a batch.

    msgspec.MsgspecError says what is wrong with it.
    """
    try:
        batch = _many(body).requests if "requests" in _shape(body) else None
        asked = batch if batch is not None else [_one(body)]
    except (UnicodeDecodeError, RecursionError) as error:
        msg = "the body is not UTF-8, or nested too deep"
        raise msgspec.DecodeError(msg) from error
    return [_read(one) for one in asked], batch is not None


def word_answers(decisions: Iterable[tuple[Request, object]], *, batch: bool) -> bytes:
    """Word decisions in the order of their questions."""
    answered = [
        _enforced(request, decision)
        if isinstance(decision, Settled)
        else _answered(request, decision)
        for request, decision in decisions
        if isinstance(decision, Decision | Settled)
    ]
    return msgspec.json.encode({"decisions": answered} if batch else answered[0])


def _read(question: Question) -> Request:
    headers: dict[str, str] = {}
    repeated: set[str] = set()
    for name, value in question.headers.items():
        key = name.lower()
        values = value if isinstance(value, list) else [value]
        if key in headers or len(values) > 1:
            repeated.add(key)
        headers[key] = ", ".join([headers[key], *values] if key in headers else values)
    client, fault = None, None
    if question.client is not None:
        try:
            client = parse_address(question.client)
        except ValueError as error:
            fault = (Reason.CLIENT_ADDRESS_INVALID, str(error))
    return Request(
        method=question.method,
        host=question.host,
        target=question.target,
        headers=headers,
        repeated=frozenset(repeated),
        client=client,
        tls=question.tls,
        fault=fault,
    )


def _enforced(request: Request, settled: Settled) -> Answer:
    """Word what an area's old system said; identity headers that it left out are not there."""
    told = settled.told
    if told is None:
        return _answered(request, settled.decision)
    return Answer(
        allowed=told.allowed,
        status=200 if told.allowed else told.status,
        identity={name: value for name, value in settled.passed if value},
        headers={} if told.allowed else {name.title(): value for name, value in told.headers},
        body="" if told.allowed else told.body.decode("utf-8", "replace"),
        decision=None if told.allowed else settled.decision.id or None,
    )


def _answered(request: Request, decision: Decision) -> Answer:
    if decision.allowed:
        return Answer(
            allowed=True,
            status=200,
            identity=dict(identity(decision)),
            headers=dict(notices(decision)),
            body="",
            decision=None,
        )
    reply = refusal(decision, request.headers.get("accept", ""))
    return Answer(
        allowed=False,
        status=reply.status,
        identity={},
        headers=dict(reply.headers),
        body=reply.body.decode(),
        decision=decision.id,
    )
