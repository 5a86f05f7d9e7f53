"""The journal as an audit trail: listed, exported, and its head signed.

Rule of this file: nothing here writes. A tenant's administrator sees the rows of their own tenant;
only the operator sees all, and what was done to no tenant.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa

from latchgate.core.timestamp import rfc3339
from latchgate.keyring import master
from latchgate.keyring.signing import Purpose, Signer, spell, unseal
from latchgate.manage import signing_keys
from latchgate.manage.actor import Caller
from latchgate.manage.errors import ForbiddenError, NotFoundError
from latchgate.store import schema
from latchgate.store.journal import Store

EVERYTHING = "operator:audit.read"
MAX_PAGE = 1_000
HEAD_FORMAT = "latchgate-audit-head-1"
_BATCH = 1_000
_DOMAIN = b"latchgate:audit-head:1\0"
_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder().decode

Hash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}(?![\s\S])")]
Short = Annotated[str, msgspec.Meta(max_length=100)]


class Head(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where the journal stood, signed: kept elsewhere, it proves later what was there.

    `n` and `hash` are those of the last row, `epoch` names this run of the journal, `at` is when
    it was signed. `key_id` is the JWK thumbprint of `public_key`; both and `signature` (Ed25519)
    are base64url without padding. What is signed: `message`.
    """

    format: Short
    epoch: Short
    n: Annotated[int, msgspec.Meta(ge=0, le=9_007_199_254_740_991)]
    hash: Hash
    at: Short
    key_id: Short
    public_key: Short
    signature: Short

    def message(self) -> bytes:
        """Return the signed bytes: a domain, a NUL, then canonical JSON (RFC 8785).

        That is an object of `at`, `epoch`, `format`, `hash`, `key_id`, `n`, in this order and
        without white space; every value but `n` is text in ASCII.
        """
        told = {
            "at": self.at,
            "epoch": self.epoch,
            "format": self.format,
            "hash": self.hash,
            "key_id": self.key_id,
            "n": self.n,
        }
        return _DOMAIN + _encode(told)


class Row(msgspec.Struct, frozen=True):
    """One change, as people read it; `at` is Unix seconds, `hash` is hexadecimal.

    `detail` holds `before` and `after` where a record's columns changed; never a secret.
    """

    n: int
    at: float
    actor: str
    action: str
    noun: str
    record: str
    tenant_id: str | None
    credential_id: str | None
    address: str | None
    detail: dict[str, Any]
    hash: str


class Filter(msgspec.Struct, frozen=True):
    """Which rows are wanted; `since` is included, `until` is not, both Unix seconds.

    `actor` matches the whole name or its first word, such as `user:u-…`.
    """

    actor: str | None = None
    action: str | None = None
    noun: str | None = None
    record: str | None = None
    credential: str | None = None
    tenant: str | None = None
    since: float | None = None
    until: float | None = None


def listed(
    store: Store,
    caller: Caller,
    wanted: Filter,
    *,
    limit: int,
    after: int,
    newest_first: bool = False,
) -> tuple[list[Row], int | None]:
    """Return up to `limit` rows after a number, oldest first, and the number to go on after.

    With `newest_first` they go backwards, from before that number; 0 is the journal's end then.
    ForbiddenError when a tenant's administrator asks for another tenant.
    """
    number = schema.journal.c.n
    statement = sa.select(schema.journal).where(*_visible(caller, wanted.tenant))
    statement = statement.where(*_conditions(wanted))
    if newest_first:
        beyond = number < after if after else sa.true()
        statement = statement.where(beyond).order_by(number.desc())
    else:
        statement = statement.where(number > after).order_by(number)
    with store.reading() as connection:
        found = connection.execute(statement.limit(limit + 1)).mappings().all()
    rows = [_shown(row) for row in found[:limit]]
    return rows, rows[-1].n if len(found) > limit else None


def shown(store: Store, caller: Caller, n: int) -> Row:
    """Return the row of a number; NotFoundError unless there is one for the caller to see."""
    wanted = sa.select(schema.journal).where(schema.journal.c.n == n, *_visible(caller, None))
    with store.reading() as connection:
        row = connection.execute(wanted).mappings().one_or_none()
    if row is None:
        msg = f"there is no row {n} in the journal that is yours to see"
        raise NotFoundError(msg)
    return _shown(row)


def _visible(caller: Caller, tenant: str | None) -> list[sa.ColumnElement[bool]]:
    """Return which rows somebody sees, of a tenant where one is named; ForbiddenError."""
    if EVERYTHING not in caller.rights:
        if tenant not in {None, caller.tenant_id}:
            msg = f"the rows of other tenants are for holders of {EVERYTHING}"
            raise ForbiddenError(msg)
        tenant = caller.tenant_id
    return [schema.journal.c.tenant_id == tenant] if tenant is not None else []


def _conditions(wanted: Filter) -> list[sa.ColumnElement[bool]]:
    column = schema.journal.c
    exact = {
        column.action: wanted.action,
        column.noun: wanted.noun,
        column.record: wanted.record,
        column.credential_id: wanted.credential,
    }
    found = [one == value for one, value in exact.items() if value is not None]
    if wanted.actor is not None:
        # Not LIKE, which would read wildcards in it and fold its case.
        begins = sa.func.substr(column.actor, 1, len(wanted.actor) + 1) == f"{wanted.actor} "
        found.append(sa.or_(column.actor == wanted.actor, begins))
    if wanted.since is not None:
        found.append(column.at >= wanted.since)
    if wanted.until is not None:
        found.append(column.at < wanted.until)
    return found


def _shown(row: sa.RowMapping) -> Row:
    told = dict(row)
    try:
        detail = _decode(told["detail"])
    except (msgspec.DecodeError, TypeError):
        detail = None
    if not isinstance(detail, dict):
        # Somebody altered it: `verify` says so, and a list of the others must still be had.
        detail = {"unreadable": str(told["detail"])}
    told |= {"detail": detail, "hash": bytes(told["hash"]).hex()}
    return Row(**{name: told[name] for name in Row.__struct_fields__})


def head(store: Store, master_key: Path, *, now: float) -> Head:
    """Sign where the journal stands; KeyringError when that can't be done."""
    key = signing_keys.current(store, Purpose.AUDIT)
    signer = unseal(key, master.load(master_key))
    table = schema.journal_head
    with store.reading() as connection:
        row = connection.execute(sa.select(table)).one()
    return signed_head(signer, epoch=row.epoch, n=row.n, digest=bytes(row.hash), now=now)


def signed_head(signer: Signer, *, epoch: str, n: int, digest: bytes, now: float) -> Head:
    """Sign an epoch, a number and the hash of the row that has it."""
    unsigned = Head(
        format=HEAD_FORMAT,
        epoch=epoch,
        n=n,
        hash=digest.hex(),
        at=rfc3339(now),
        key_id=signer.id,
        public_key=spell(signer.public),
        signature="",
    )
    signature = spell(signer.sign(unsigned.message()))
    return msgspec.structs.replace(unsigned, signature=signature)


def exported(store: Store, last: Head) -> Iterator[bytes]:
    """Yield the journal up to a signed head as JSON lines, the head last; bounded in memory.

    Rows never change and are only added, so batches read one after the other are one journal.
    """
    table = schema.journal
    after = -1
    while True:
        batch = (
            sa.select(table)
            .where(table.c.n > after, table.c.n <= last.n)
            .order_by(table.c.n)
            .limit(_BATCH)
        )
        with store.reading() as connection:
            rows = connection.execute(batch).mappings().all()
        if not rows:
            break
        yield b"".join(map(spelled, rows))
        after = rows[-1]["n"]
    yield msgspec.json.encode({"head": last}) + b"\n"


def spelled(row: sa.RowMapping) -> bytes:
    """Return a row of the journal as a line of an export."""
    told = dict(row)
    for name in ("previous", "hash"):
        told[name] = bytes(told[name]).hex()
    return _encode(told) + b"\n"
