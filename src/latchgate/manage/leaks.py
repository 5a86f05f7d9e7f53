"""Leaked secrets: recorded once proven, and revoked or told of, as their tenant's rule says.

Rule of this file: whoever holds a secret may have it revoked, whosesoever it is, and is told no
more about it than that it was handled. An application key is never revoked: it is in every copy
of its program. What proves a secret is in `leak_proof`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import sqlalchemy as sa

from latchgate.core.event import Event
from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.core.secret import CROCKFORD_LOWER, digest, spell
from latchgate.manage.actor import Caller
from latchgate.manage.leak_proof import Proven, by_digests, by_work, proven
from latchgate.manage.leak_rules import EVERY
from latchgate.manage.listing import Listing, Query, by, equals, page
from latchgate.manage.notifications import notify
from latchgate.manage.project_tokens import deny
from latchgate.store import schema
from latchgate.store.journal import Actor, Change, Store, stored

MAX_TOKENS = 1_000
MAX_TOKEN = 8_192
MAX_DIGESTS = 1_000
MAX_WORK = 20  # secrets of a report whose slow hash is worked out
EVERYWHERE = "operator:leaks.read"
_MAX_URL = 500
_ID_LENGTH = 20
# What a revoked credential's journal row says was done: the words of its own noun's file.
_ACTIONS = {
    "service_key": "key.revoke",
    "api_token": "token.delete",
    "access_key": "access_key.delete",
    "app_password": "basic.revoke",
}
_Text = Annotated[str, msgspec.Meta(max_length=_MAX_URL * 4)]


class LeakedToken(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """A secret that was found, and where: a URL, and what sort of place (`github`, `log`).

    `id` is that of the access key whose secret it is: needed where it was imported by its hash.
    """

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TOKEN)]
    url: _Text = ""
    source: Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[A-Za-z0-9_.-]*(?![\s\S])")] = ""
    id: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z.~-]{1,128}(?![\s\S])")] | None = None

    def __repr__(self) -> str:
        return "LeakedToken(***)"


class LeakReport(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Secrets that were found."""

    tokens: Annotated[list[LeakedToken], msgspec.Meta(min_length=1, max_length=MAX_TOKENS)]


class AskedDigest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The digest of a text that looks like a secret: 64 hexadecimal digits, and of which kind.

    `sha256:` or `sha512:` before them says that it is of a key whose hash alone was imported.
    """

    kind: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    digest: Annotated[str, msgspec.Meta(pattern=r"^(?:(?:sha256|sha512):)?[0-9a-f]{64}(?![\s\S])")]

    @property
    def raw(self) -> bytes:
        """The digest as it is stored."""
        word, colon, digits = self.digest.rpartition(":")
        return f"{word}{colon}".encode() + bytes.fromhex(digits)


class LeakLookup(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Digests to ask about; never secrets."""

    digests: Annotated[list[AskedDigest], msgspec.Meta(max_length=MAX_DIGESTS)]


class Known(msgspec.Struct, frozen=True):
    """A digest that is a credential's; `state` is active, disabled, expired or revoked."""

    kind: str
    digest: str
    credential_id: str
    tenant_id: str | None
    owner_id: str | None
    name: str
    state: str


class StoredLeak(msgspec.Struct, frozen=True):
    """A proven leak; `action` is what was done: revoke, notify, or none where it had ended."""

    id: str
    created_at: float
    noun: str
    record: str
    kind: str
    tenant_id: str | None
    source: str
    url: str
    reporter: str
    action: str


LISTING = Listing(
    table=schema.leak,
    searched=("id", "record", "url", "source"),
    filters={
        "record": equals(schema.leak.c.record),
        "kind": equals(schema.leak.c.kind),
        "source": equals(schema.leak.c.source),
        "action": equals(schema.leak.c.action, "revoke", "notify", "none"),
    },
    sorts={"created_at": by(schema.leak.c.created_at), "kind": by(schema.leak.c.kind)},
)


def report(
    store: Store,
    policy: Policy,
    actor: Actor,
    told: LeakedToken,
    *,
    redact: Callable[[str], str],
    entropy: Callable[[int], bytes],
    worked_out: bool = False,
) -> tuple[StoredLeak | None, int]:
    """Handle one secret; returns its leak, None where nothing is proven, and the journal number.

    `worked_out` says that the secret was found to be that of the access key `told.id`, by work.
    The same report twice is one leak; what stands still and should not is revoked then.
    """
    proof = proven(store, policy, told.token)
    if proof is None and worked_out and told.id is not None:
        proof = by_work(store, policy, told.id)
    if proof is None:
        return None, _head(store)
    with store.change(actor) as change:
        found = _again(change, proof)
        action = _settled(change, found)
        url, source = redact(_place(told.url)), told.source or "unknown"
        before = _recorded(change, _leak_id(found, source, url))
        if before is None:
            leak = _record(change, found, action, source=source, url=url, entropy=entropy)
        else:
            leak = before
        n = change.n
        if action == "revoke":
            n = _revoke(change, found)
        return leak, n or _newest(change.connection)


def _again(change: Change, proof: Proven) -> Proven:
    """Read the record inside the change: it may have ended meanwhile."""
    table = schema.main.tables[str(proof.noun)]
    row = change.execute(sa.select(table).where(table.c.id == proof.row["id"])).mappings().one()
    told = dict(row) if table is schema.application else stored(row)
    return msgspec.structs.replace(proof, row=told)


def _settled(change: Change, found: Proven) -> str:
    """Return what to do: nothing where it has ended, else as the rule of its tenant says."""
    row, now = found.row, change.at
    if found.noun is Noun.APPLICATION:
        return "notify"
    ends = [row["expires_at"]] + ([found.token[1]] if found.token is not None else [])
    ended = row["revoked_at"] is not None or any(end is not None and end <= now for end in ends)
    if found.token is not None and found.token[0] in (row["denied_tokens"] or {}):
        ended = True
    if ended:
        return "none"
    if found.noun is Noun.APPLICATION_KEY:
        return "notify"
    table = schema.leak_rule
    rules = sa.select(table.c.kind, table.c.action).where(
        table.c.tenant_id == found.tenant_id, table.c.kind.in_([found.kind, EVERY])
    )
    chosen: dict[str, str] = {row.kind: row.action for row in change.execute(rules)}
    return chosen.get(found.kind) or chosen.get(EVERY) or "revoke"


def _record(
    change: Change,
    found: Proven,
    action: str,
    *,
    source: str,
    url: str,
    entropy: Callable[[int], bytes],
) -> StoredLeak:
    row = found.row
    leak = StoredLeak(
        id=_leak_id(found, source, url),
        created_at=change.at,
        noun=str(found.noun),
        record=row["id"],
        kind=found.kind,
        tenant_id=found.tenant_id,
        source=source,
        url=url,
        reporter=change.actor.name,
        action=action,
    )
    told = msgspec.structs.asdict(leak)
    change.execute(sa.insert(schema.leak).values(**told))
    detail = {"leak": leak.id, "kind": leak.kind, "source": source, "url": url, "action": action}
    change.note(
        "credential.leaked", found.noun, leak.record, tenant_id=leak.tenant_id, detail=detail
    )
    notify(
        change,
        Event.CREDENTIAL_LEAKED,
        leak.record,
        tenant_id=leak.tenant_id,
        user_id=row.get("owner_id"),
        data={**detail, "name": row.get("name", ""), "hint": row.get("hint", "")},
        entropy=entropy,
    )
    return leak


def _revoke(change: Change, found: Proven) -> int:
    if found.token is not None:
        return deny(change, found.row, *found.token)
    word = found.kind.rpartition(".")[2]
    return change.alter(
        _ACTIONS.get(word, "credential.revoke"),
        Noun.CREDENTIAL,
        schema.credential,
        {"id": found.row["id"], "revoked_at": None},
        {"revoked_at": change.at},
        tenant_id=found.tenant_id,
    )


def _leak_id(found: Proven, source: str, url: str) -> str:
    token = found.token[0] if found.token is not None else ""
    told = digest("leak", "\0".join([found.noun, found.row["id"], token, source, url]))
    space = len(CROCKFORD_LOWER) ** _ID_LENGTH
    number = int.from_bytes(told, "big") % space
    return f"leak-{spell(number, CROCKFORD_LOWER, _ID_LENGTH)}"


def _recorded(change: Change, leak_id: str) -> StoredLeak | None:
    table = schema.leak
    row = change.execute(sa.select(table).where(table.c.id == leak_id)).mappings().first()
    return StoredLeak(**row) if row is not None else None


def _place(url: str) -> str:
    """Return a URL without what it may carry of secrets: user, query and fragment; bounded."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return ""
    kept = f"{parts.scheme}://{parts.hostname}{port}{parts.path}"
    return "".join(letter for letter in kept if letter.isprintable())[:_MAX_URL]


def source_name(told: str | None) -> str:
    """Return what sort of place a stranger says it was, in characters that are kept of it."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", told or "")[:64]


def _head(store: Store) -> int:
    with store.reading() as connection:
        return _newest(connection)


def _newest(connection: sa.Connection) -> int:
    head: int = connection.execute(sa.select(schema.journal_head.c.n)).scalar_one()
    return head


def known(store: Store, caller: Caller, asked: LeakLookup, *, now: float) -> list[Known]:
    """Return which digests are credentials' of the caller's tenant; an operator's, of every."""
    everywhere = EVERYWHERE in caller.rights
    found: list[Known] = []
    with store.reading() as connection:
        proofs = by_digests(connection, {(one.kind, one.raw) for one in asked.digests})
        for one in asked.digests:
            proof = proofs.get((one.kind, one.raw))
            if proof is None or not (everywhere or proof.tenant_id == caller.tenant_id):
                continue
            row = proof.row
            told = Known(
                kind=one.kind,
                digest=one.digest,
                credential_id=row["id"],
                tenant_id=proof.tenant_id,
                owner_id=row.get("owner_id") or row.get("application_id"),
                name=row.get("name", ""),
                state=_state(row, now),
            )
            found.append(told)
    return found


def _state(row: Mapping[str, Any], now: float) -> str:
    if row.get("revoked_at") is not None:
        return "revoked"
    if row.get("expires_at") is not None and row["expires_at"] <= now:
        return "expired"
    return "disabled" if row.get("disabled_at") is not None else "active"


def listed(
    store: Store, caller: Caller, query: Query, *, now: float
) -> tuple[list[StoredLeak], str | None]:
    """Return a page of leaks of the caller's tenant, an operator's of every, and the next cursor.

    InvalidError names the parameter that can't be taken.
    """
    whose = () if EVERYWHERE in caller.rights else (schema.leak.c.tenant_id == caller.tenant_id,)
    with store.reading() as connection:
        rows, following = page(connection, LISTING, query, *whose, now=now)
    fields = StoredLeak.__struct_fields__
    return [StoredLeak(**{name: row[name] for name in fields}) for row in rows], following
