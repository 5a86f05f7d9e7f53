"""Applications: asked for by anybody, decided by the operator with a reason.

Rule of this file: an application is nobody's record but the operator's and its developer's, who
proves themselves by the token that the request was answered with. Sources: providers/teracloud,
"Acquisition of API KEY".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.core.secret import BASE62, CROCKFORD_LOWER, Secret, checksum, digest, draw
from latchgate.manage import application_keys
from latchgate.manage.actor import Caller
from latchgate.manage.application_keys import StoredApplicationKey
from latchgate.manage.errors import TooManyError
from latchgate.manage.listing import Listing, Query, by, equals, page
from latchgate.manage.records import ANY, IfMatch, find
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Actor, Change, Store

MAX_UNDECIDED = 1_000
_RETRY_SECONDS = 86_400
DEVELOPER_PREFIX = "lgdev"
# What a leaked developer's token looks like; the prefix may stay.
DEVELOPER_PATTERN = rf"({DEVELOPER_PREFIX}_)[0-9A-Za-z]{{8,}}"

_END = r"(?![\s\S])"
_Line = Annotated[
    str, msgspec.Meta(min_length=1, max_length=120, pattern=rf"^[^\x00-\x1f\x7f-\x9f]*\S{_END}")
]
_Prose = Annotated[
    str,
    msgspec.Meta(
        min_length=1, max_length=2000, pattern=rf"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*{_END}"
    ),
]
_Mail = Annotated[
    str,
    msgspec.Meta(
        max_length=254, pattern=rf"^[^\s@<>,;:\x00-\x1f\x7f]+@[^\s@<>,;:]+\.[^\s@<>,;:.]+{_END}"
    ),
]
Developer = Literal["corporation", "individual", "open_source"]


class ApplicationSpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A request for a new application: what it is, who makes it, whom to write to."""

    name: _Line
    vendor: _Line
    contact: _Mail
    purpose: _Prose
    developer: Developer


class Review(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Why the operator decides as they do; the developer reads it."""

    reason: _Prose


class State(StrEnum):
    """How an application stands; only an approved one's keys are taken."""

    REQUESTED = "requested"
    APPROVED = "approved"
    REFUSED = "refused"
    SUSPENDED = "suspended"
    WITHDRAWN = "withdrawn"


class Verb(StrEnum):
    """What the operator can decide."""

    APPROVE = "approve"
    REFUSE = "refuse"
    SUSPEND = "suspend"
    REINSTATE = "reinstate"


# Decision -> the states it can be made in, the state it leads to.
_MOVES: Mapping[Verb, tuple[frozenset[State], State]] = {
    Verb.APPROVE: (frozenset({State.REQUESTED, State.REFUSED}), State.APPROVED),
    Verb.REFUSE: (frozenset({State.REQUESTED}), State.REFUSED),
    Verb.SUSPEND: (frozenset({State.APPROVED}), State.SUSPENDED),
    Verb.REINSTATE: (frozenset({State.SUSPENDED}), State.APPROVED),
}


def decidable(state: str) -> tuple[Verb, ...]:
    """Return what can be decided of an application in a state."""
    return tuple(verb for verb, (before, _) in _MOVES.items() if state in before)


class StoredApplication(msgspec.Struct, frozen=True):
    """An application as stored, without its developer's token; times are Unix seconds."""

    id: str
    name: str
    vendor: str
    contact: str
    purpose: str
    developer: str
    state: str
    reason: str
    created_at: float
    decided_at: float | None
    decided_by: str | None
    version: int


LISTING = Listing(
    table=schema.application,
    searched=("id", "name", "vendor", "contact", "purpose"),
    filters={
        "state": equals(schema.application.c.state, *State),
        "developer": equals(schema.application.c.developer, *Developer.__args__),  # type: ignore[attr-defined]
        "name": equals(schema.application.c.name),
        "vendor": equals(schema.application.c.vendor),
    },
    sorts={
        "created_at": by(schema.application.c.created_at),
        "decided_at": by(schema.application.c.decided_at),
        "name": by(schema.application.c.name),
        "vendor": by(schema.application.c.vendor),
    },
)


def undecided(store: Store) -> int:
    """Return how many requests wait for the operator's decision."""
    with store.reading() as connection:
        return _undecided(connection)


def _undecided(connection: sa.Connection) -> int:
    table = schema.application
    waiting = sa.select(sa.func.count()).where(table.c.state == State.REQUESTED)
    count: int = connection.execute(waiting).scalar_one()
    return count


def request(
    store: Store, spec: ApplicationSpec, *, address: str | None, entropy: Callable[[int], bytes]
) -> tuple[StoredApplication, Secret]:
    """Keep a request for review; returns it and its developer's token, which is shown once.

    TooManyError when more wait for a decision than anybody will read.
    """
    token = new_token(entropy)
    row: dict[str, Any] = {
        "id": f"app-{draw(entropy(19), CROCKFORD_LOWER, 16)}",
        **msgspec.structs.asdict(spec),
        "state": str(State.REQUESTED),
        "reason": "",
        "owner_digest": token_digest(token.reveal()),
        "decided_at": None,
        "decided_by": None,
    }
    table = schema.application
    actor = Actor(name="public", tenant_id=None, address=address)
    with store.change(actor) as change:
        if _undecided(change.connection) >= MAX_UNDECIDED:
            why = "too many requests wait for a decision"
            raise TooManyError(why, retry_after=_RETRY_SECONDS)
        row["created_at"] = change.at
        n = change.add("application.request", Noun.APPLICATION, table, row, tenant_id=None)
    return _stored(row | {"version": n}), token


def add_approved(
    change: Change, spec: ApplicationSpec, entropy: Callable[[int], bytes]
) -> StoredApplication:
    """Write an application that the operator makes, and so approves, inside a change."""
    row: dict[str, Any] = {
        "id": f"app-{draw(entropy(19), CROCKFORD_LOWER, 16)}",
        **msgspec.structs.asdict(spec),
        **_OF_OPERATOR,
        "created_at": change.at,
        "decided_at": change.at,
        "decided_by": change.actor.name,
    }
    noun, table = Noun.APPLICATION, schema.application
    n = change.add("application.create", noun, table, row, tenant_id=None)
    return _stored(row | {"version": n})


_OF_OPERATOR = {
    "state": str(State.APPROVED),
    "reason": "made by the operator",
    "owner_digest": b"",  # nobody's token: no text has an empty digest
}


def listed(store: Store, query: Query, *, now: float) -> tuple[list[StoredApplication], str | None]:
    """Return a page of applications, oldest first unless told, and the next cursor."""
    with store.reading() as connection:
        rows, following = page(connection, LISTING, query, now=now)
    return [_stored(row) for row in rows], following


def shown(store: Store, application_id: str) -> StoredApplication:
    """Return one application; NotFoundError when there is none."""
    with store.reading() as connection:
        return found(connection, application_id)


def keys(
    store: Store, policy: Policy, application_id: str, *, now: float
) -> list[StoredApplicationKey]:
    """Return the keys of an application that stand, oldest first."""
    with store.reading() as connection:
        return application_keys.of_application(connection, policy, application_id, now=now)


def found(
    connection: sa.Connection, application_id: str, *, match: IfMatch = ANY
) -> StoredApplication:
    """Return one application of a snapshot; NotFoundError when there is none."""
    row = find(connection, schema.application, application_id, noun="application", match=match)
    return _stored(row)


def decide(
    store: Store,
    caller: Caller,
    application_id: str,
    verb: Verb,
    reason: str,
    *,
    match: IfMatch = ANY,
) -> tuple[StoredApplication, int]:
    """Approve, refuse, suspend or reinstate an application, for everybody at once.

    Returns it and the journal number that verifiers must reach. What is decided already has its
    receipt waited for again; ConflictError from a state that the decision can't be made in.
    """
    before_states, after_state = _MOVES[verb]
    with store.change(caller.actor) as change:
        application = found(change.connection, application_id, match=match)
        if application.state == after_state:
            return application, change.execute(sa.select(schema.journal_head.c.n)).scalar_one()
        if application.state not in before_states:
            known = " or ".join(sorted(before_states))
            raise ConflictError(
                f"It is {application.state}; only what is {known} can be so decided."
            )
        after = {
            "state": str(after_state),
            "reason": reason,
            "decided_at": change.at,
            "decided_by": change.actor.name,
        }
        n = change.alter(
            f"application.{verb}",
            Noun.APPLICATION,
            schema.application,
            msgspec.structs.asdict(application),
            after,
            tenant_id=None,
        )
    return msgspec.structs.replace(application, **after, version=n), n


def new_token(entropy: Callable[[int], bytes]) -> Secret:
    """Return a developer's token: `lgdev_`, 22 of base62 (130 bits) and a checksum."""
    body = f"{DEVELOPER_PREFIX}_{draw(entropy(25), BASE62, 22)}"
    return Secret(body + checksum(body))


def token_digest(text: str) -> bytes:
    """Return what is stored of a developer's token."""
    return digest("developer_token", text)


def _stored(row: Mapping[str, Any]) -> StoredApplication:
    return StoredApplication(**{field: row[field] for field in StoredApplication.__struct_fields__})
