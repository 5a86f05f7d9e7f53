"""Leaked secrets: proven, recorded, and revoked or told of, as their tenant's rule says.

Rule of this file: only a whole secret whose digest is stored proves anything; an id alone proves
nothing (ATTACKS D7.67). Whoever holds a secret may have it revoked, whosesoever it is, and is told
no more about it than that it was handled. An application key is never revoked: it is in every copy
of its program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import sqlalchemy as sa

from latchgate.core.event import Event
from latchgate.core.kinds import AnyKind, ImportedKey
from latchgate.core.kinds.project_token import ProjectToken
from latchgate.core.kinds.service_key import ServiceKey
from latchgate.core.leaks import DEVELOPER_TOKEN, OWN, identify, shapes
from latchgate.core.model import Noun, Presented, Refused
from latchgate.core.policy import Policy
from latchgate.core.secret import CROCKFORD_LOWER, digest, same, spell
from latchgate.keyring.signing import Purpose, signed
from latchgate.manage.actor import Caller
from latchgate.manage.leak_rules import EVERY
from latchgate.manage.listing import Listing, Query, by, equals, page
from latchgate.manage.notifications import notify
from latchgate.manage.project_tokens import deny
from latchgate.store import schema
from latchgate.store.journal import Actor, Change, Store, stored

MAX_TOKENS = 1_000
MAX_TOKEN = 8_192
MAX_DIGESTS = 1_000
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


class LeakedToken(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A secret that was found, and where: a URL, and what sort of place (`github`, `log`)."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TOKEN)]
    url: _Text = ""
    source: Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[A-Za-z0-9_.-]*(?![\s\S])")] = ""

    def __repr__(self) -> str:
        return "LeakedToken(***)"


class LeakReport(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Secrets that were found."""

    tokens: Annotated[list[LeakedToken], msgspec.Meta(min_length=1, max_length=MAX_TOKENS)]


class AskedDigest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The digest of a text that looks like a secret: 64 hexadecimal digits, and of which kind."""

    kind: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    digest: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}(?![\s\S])")]


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


class _Found(msgspec.Struct, frozen=True):
    """A record whose secret was proven; `token` is a signed token that was minted from it."""

    noun: Noun
    kind: str
    row: dict[str, Any]
    token: tuple[str, float] | None = None

    @property
    def tenant_id(self) -> str | None:
        return self.row.get("tenant_id")


def report(
    store: Store,
    policy: Policy,
    actor: Actor,
    told: LeakedToken,
    *,
    redact: Callable[[str], str],
    entropy: Callable[[int], bytes],
) -> tuple[StoredLeak | None, int]:
    """Handle one secret; returns its leak, None where nothing is proven, and the journal number.

    The same report twice is one leak; what stands still and should not is revoked then.
    """
    proven = _proven(store, policy, told.token)
    if proven is None:
        return None, _head(store)
    with store.change(actor) as change:
        found = _again(change, proven)
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


def _proven(store: Store, policy: Policy, text: str) -> _Found | None:
    """Return what a whole secret is of; None when its digest is nobody's."""
    with store.reading() as connection:
        for kind, read in identify(text, shapes(policy.kinds)):
            found = _by_digest(connection, kind, read.digest)
            found = found or _by_signature(connection, policy, kind, text)
            found = found or _by_claim(connection, policy.kinds.get(kind), text)
            if found is not None:
                return found
        # Those of no beginning that could be searched for have no shape of a leak.
        for imported in policy.kinds.values():
            if isinstance(imported, ImportedKey) and imported.leak is None:
                found = _by_claim(connection, imported, text)
                if found is not None:
                    return found
    return None


def _by_claim(connection: sa.Connection, kind: AnyKind | None, text: str) -> _Found | None:
    """Return what a key is of whose hash alone was imported: found by id, proven by a digest."""
    claimed: Presented | Refused | None = None
    if isinstance(kind, ServiceKey):
        claimed = kind.claim(text)
    elif isinstance(kind, ImportedKey) and kind.is_shaped(text):
        claimed = kind.of_text(text)
    if kind is None or not isinstance(claimed, Presented):
        return None
    table = schema.credential
    wanted = sa.select(table).where(
        table.c.id == claimed.credential_id, table.c.kind == claimed.kind
    )
    row = connection.execute(wanted).mappings().first()
    if row is None:
        return None
    held = bytes(row["digest"])
    proven = [same(held, one) for one in (claimed.digest, *claimed.others)]
    return _Found(Noun.CREDENTIAL, kind.name, stored(row)) if any(proven) else None


def _by_digest(connection: sa.Connection, kind: str, told: bytes) -> _Found | None:
    if kind == DEVELOPER_TOKEN:
        table, noun, column = schema.application, Noun.APPLICATION, "owner_digest"
        whose = [table.c[column] == told]
    elif kind in OWN:
        return None
    else:
        for table, noun in _TABLES:
            row = connection.execute(
                sa.select(table).where(table.c.digest == told, table.c.kind == kind)
            )
            found = row.mappings().first()
            if found is not None:
                return _Found(noun, kind, stored(found))
        return None
    found = connection.execute(sa.select(table).where(*whose)).mappings().first()
    return _Found(noun, kind, dict(found)) if found is not None else None


_TABLES = (
    (schema.credential, Noun.CREDENTIAL),
    (schema.application_key, Noun.APPLICATION_KEY),
)


def _by_signature(connection: sa.Connection, policy: Policy, kind: str, text: str) -> _Found | None:
    """Return what a signed token was minted from; None unless we signed it."""
    made = policy.kinds.get(kind)
    claimed = made.claim(text) if isinstance(made, ProjectToken) else None
    if claimed is None or isinstance(claimed, Refused) or claimed[0].signed is None:
        return None
    told = claimed[0].signed
    table = schema.signing_key
    key = connection.execute(sa.select(table).where(table.c.id == told.key_id)).first()
    if key is None or key.purpose != Purpose.TOKEN:
        return None
    if not signed(bytes(key.public), told.message, told.signature):
        return None
    source = sa.select(schema.credential).where(schema.credential.c.id == told.token.credential_id)
    row = connection.execute(source).mappings().first()
    if row is None:
        return None
    return _Found(Noun.CREDENTIAL, kind, stored(row), (told.token.id, told.token.expires_at))


def _again(change: Change, found: _Found) -> _Found:
    """Read the record inside the change: it may have ended meanwhile."""
    table = schema.main.tables[str(found.noun)]
    row = change.execute(sa.select(table).where(table.c.id == found.row["id"])).mappings().one()
    told = dict(row) if table is schema.application else stored(row)
    return msgspec.structs.replace(found, row=told)


def _settled(change: Change, found: _Found) -> str:
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
    found: _Found,
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


def _revoke(change: Change, found: _Found) -> int:
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


def _leak_id(found: _Found, source: str, url: str) -> str:
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
        for one in asked.digests:
            proven = _by_digest(connection, one.kind, bytes.fromhex(one.digest))
            if proven is None or not (everywhere or proven.tenant_id == caller.tenant_id):
                continue
            row = proven.row
            told = Known(
                kind=one.kind,
                digest=one.digest,
                credential_id=row["id"],
                tenant_id=proven.tenant_id,
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
