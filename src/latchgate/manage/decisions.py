"""Decisions explained, as far as they are somebody's to see: one that nobody made, and refusals.

Rule of this file: somebody sees what named a credential of their own, a tenant's administrator what
named one of their tenant; only the operator sees every refusal, and those that named nobody.
Nothing here decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa

from latchgate.core.explain import guessed, record, without, worded
from latchgate.core.model import Decision, Request
from latchgate.core.network import parse_address
from latchgate.manage import keys
from latchgate.manage.actor import Caller
from latchgate.manage.errors import InvalidError, NotFoundError
from latchgate.store import schema
from latchgate.store.journal import Store
from latchgate.store.refusals import KEEP_SECONDS
from latchgate.store.usage import UsageReader

TENANT = "manage:decisions.read"
EVERYTHING = "operator:decisions.read"
# Whoever sees credentials of their own sees what those were refused.
OWN = ("own:keys.read", "own:tokens.read", "own:access-keys.read", "own:basic.read")
KEEP_DAYS = KEEP_SECONDS // 86_400
_ABSOLUTE = re.compile(r"(?P<scheme>(?i:https?))://(?P<authority>[^/?#]*)(?P<target>.*)", re.DOTALL)
_Long = Annotated[str, msgspec.Meta(max_length=16_384)]
Kept = dict[str, Any]


class ExplainRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A request to be decided and explained, not made."""

    method: Annotated[str, msgspec.Meta(max_length=40)]
    url: _Long
    headers: dict[Annotated[str, msgspec.Meta(max_length=256)], _Long] = {}
    client: Annotated[str, msgspec.Meta(max_length=64)] | None = None


def described(asked: ExplainRequest) -> Request:
    """Turn a URL and headers into the request that a gateway would tell of; InvalidError."""
    # Split by hand: the path must stay as it was written, and a library would mend it.
    scheme, authority, target = "", "", asked.url
    found = _ABSOLUTE.fullmatch(asked.url)
    if found is not None:
        scheme, authority = found["scheme"].lower(), found["authority"].rpartition("@")[2]
        target = found["target"] if found["target"].startswith("/") else f"/{found['target']}"
    headers = {name.lower(): value for name, value in asked.headers.items()}
    if len(headers) < len(asked.headers):
        raise InvalidError([("headers", "a header is given twice")])
    client = None
    if asked.client is not None:
        try:
            client = parse_address(asked.client)
        except ValueError as error:
            raise InvalidError([("client", str(error))]) from error
    return Request(
        method=asked.method,
        host=headers.get("host", authority),
        target=target,
        headers=headers,
        client=client,
        tls=scheme == "https",
    )


def explained(
    store: Store,
    caller: Caller,
    decision: Decision,
    request: Request,
    *,
    now: float,
    redact: Callable[[str], str],
) -> Kept:
    """Word the decision of a request that nobody made.

    NotFoundError when what it presents is another tenant's, or not the caller's own where they see
    no more.
    """
    credential = decision.credential
    if EVERYTHING in caller.rights:
        mine = True
    elif TENANT in caller.rights:
        mine = credential is None or credential.tenant_id == caller.tenant_id
    else:
        whose = (caller.tenant_id, caller.user_id)
        mine = credential is not None and (credential.tenant_id, credential.owner_id) == whose
    if not mine:
        raise NotFoundError("the credential is not known to your tenant")
    return worded(_seen_by(store, caller, record(decision, request, now, redact)))


def shown(store: Store, caller: Caller, decision_id: str, found: tuple[str, Kept] | None) -> Kept:
    """Word a refusal that was kept (`UsageReader.refusal`); NotFoundError unless it is theirs."""
    # A refusal that named nobody belongs to the operator, who alone holds operator scopes.
    if found is None or not _is_theirs(store, caller, *found):
        msg = f"no refusal {decision_id[:64]!r} is kept; refusals stay for {KEEP_DAYS} days"
        raise NotFoundError(msg)
    return worded(_seen_by(store, caller, found[1]))


def recent(
    reader: UsageReader,
    store: Store,
    caller: Caller,
    *,
    limit: int,
    credential: str | None = None,
    after: str | None = None,
) -> tuple[list[Kept], str | None]:
    """Return the newest refusals that are the caller's to see, worded, and the id to go on after.

    `credential` is the id of the one that they named. `after` is the id of a refusal: those before
    it in time.
    """
    ring = None if EVERYTHING in caller.rights else caller.tenant_id
    if not _sees_all(caller) and not _owns(store, caller, credential):
        return [], None
    found = reader.refusals(ring, credential_id=credential, after=after, limit=limit + 1)
    rows = [worded(_seen_by(store, caller, kept)) for kept in found[:limit]]
    return rows, rows[-1]["id"] if len(found) > limit else None


def _sees_all(caller: Caller) -> bool:
    """Whether a caller sees refusals of more than their own credentials."""
    return TENANT in caller.rights or EVERYTHING in caller.rights


def _is_theirs(store: Store, caller: Caller, ring: str, kept: Kept) -> bool:
    if EVERYTHING in caller.rights:
        return True
    mine = TENANT in caller.rights or _owns(store, caller, kept["credential"])
    return ring == caller.tenant_id and mine


def _owns(store: Store, caller: Caller, credential_id: str | None) -> bool:
    table = schema.credential
    wanted = sa.select(table.c.id).where(
        table.c.id == credential_id,
        table.c.tenant_id == caller.tenant_id,
        table.c.owner_id == caller.user_id,
    )
    with store.reading() as connection:
        return connection.execute(wanted).first() is not None


def _seen_by(store: Store, caller: Caller, kept: Kept) -> Kept:
    """Hide that a key exists whose secret was wrong, unless it is one that the viewer may see."""
    if EVERYTHING in caller.rights:
        return kept
    return without(kept, set(_foreign(store, caller, guessed(kept))))


def _foreign(store: Store, caller: Caller, credential_ids: Iterable[str]) -> Iterable[str]:
    for credential_id in credential_ids:
        if not _sees_all(caller):
            if not _owns(store, caller, credential_id):
                yield credential_id
            continue
        try:
            keys.shown(store, caller, credential_id)
        except NotFoundError:
            yield credential_id
