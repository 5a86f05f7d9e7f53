"""Which record a leaked secret is of: proven by a digest, a signature, or the work of a slow hash.

Rule of this file: only a whole secret proves anything; an id alone proves nothing (ATTACKS D7.67).
What a text looks like only says where to look: a key that looks like no key is found all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.core.basic import MAX_PASSWORD
from latchgate.core.kinds import AnyKind, ImportedKey
from latchgate.core.kinds.access_key import AccessKey
from latchgate.core.kinds.api_token import ApiToken
from latchgate.core.kinds.project_token import ProjectToken
from latchgate.core.kinds.service_key import ServiceKey
from latchgate.core.leaks import DEVELOPER_TOKEN, OWN, identify, shapes
from latchgate.core.model import Noun, Presented, Refused
from latchgate.core.policy import Policy
from latchgate.core.secret import DIGEST_LENGTH, Secret, same
from latchgate.keyring.signing import Purpose, signed
from latchgate.store import schema
from latchgate.store.journal import Store, stored

_ACCOUNT = "access_key"  # where sign-in with an access key counts its wrong guesses, by id
_TABLES = (
    (schema.credential, Noun.CREDENTIAL),
    (schema.application_key, Noun.APPLICATION_KEY),
)


class Proven(msgspec.Struct, frozen=True):
    """A record whose secret was proven; `token` is a signed token that was minted from it."""

    noun: Noun
    kind: str
    row: dict[str, Any]
    token: tuple[str, float] | None = None

    @property
    def tenant_id(self) -> str | None:
        """Whose it is; None where it is the operator's."""
        return self.row.get("tenant_id")


@dataclass(frozen=True, slots=True)
class Guess:
    """What slow work proves to be a record's secret or not; `stored` is None where it is nobody's.

    `account` is where wrong guesses of it are counted.
    """

    record: str
    password: Secret
    account: str
    stored: bytes | None


def proven(store: Store, policy: Policy, text: str) -> Proven | None:
    """Return what a whole secret is of; None when its digest is nobody's."""
    with store.reading() as connection:
        for kind, read in identify(text, shapes(policy.kinds)):
            found = by_digest(connection, kind, read.digest)
            found = found or _by_signature(connection, policy, kind, text)
            if found is not None:
                return found
        for claimed in _claims(policy, text):
            found = _by_claim(connection, claimed)
            if found is not None:
                return found
    return None


def by_digest(connection: sa.Connection, kind: str, told: bytes) -> Proven | None:
    """Return the record of a kind that a digest is stored with."""
    return by_digests(connection, {(kind, told)}).get((kind, told))


def by_digests(
    connection: sa.Connection, asked: Collection[tuple[str, bytes]]
) -> dict[tuple[str, bytes], Proven]:
    """Return the records that digests, each of a kind, are stored with; a statement a table."""
    found: dict[tuple[str, bytes], Proven] = {}
    owners = {told for kind, told in asked if kind == DEVELOPER_TOKEN}
    digests = {told for kind, told in asked if kind not in OWN}
    if owners:
        table = schema.application
        mine = sa.select(table).where(table.c.owner_digest.in_(owners))
        for row in connection.execute(mine).mappings():
            one = Proven(Noun.APPLICATION, DEVELOPER_TOKEN, dict(row))
            found[DEVELOPER_TOKEN, bytes(row["owner_digest"])] = one
    if digests:
        for table, noun in _TABLES:
            mine = sa.select(table).where(table.c.digest.in_(digests))
            for row in connection.execute(mine).mappings():
                name = row["kind"], bytes(row["digest"])
                if name in asked:
                    found.setdefault(name, Proven(noun, row["kind"], stored(row)))
    return found


def _claims(policy: Policy, text: str) -> Iterator[Presented]:
    """Yield what a text claims as keys that tell by themselves where their record is."""
    for kind in policy.kinds.values():
        claimed = _claim(kind, text)
        if isinstance(claimed, Presented):
            yield claimed


def _claim(kind: AnyKind, text: str) -> Presented | Refused | None:
    if isinstance(kind, ServiceKey | ApiToken):
        return kind.claim(text)
    if isinstance(kind, ImportedKey) and kind.is_shaped(text):
        return kind.of_text(text)
    return None


def _by_claim(connection: sa.Connection, claimed: Presented) -> Proven | None:
    """Return what a key is of: found by its id, proven by a digest, another system's included."""
    table = schema.credential
    wanted = sa.select(table).where(
        table.c.id == claimed.credential_id, table.c.kind == claimed.kind
    )
    row = connection.execute(wanted).mappings().first()
    if row is None:
        return None
    held = bytes(row["digest"])
    right = [same(held, one) for one in (claimed.digest, *claimed.others)]
    return Proven(Noun.CREDENTIAL, claimed.kind, stored(row)) if any(right) else None


def _by_signature(connection: sa.Connection, policy: Policy, kind: str, text: str) -> Proven | None:
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
    return Proven(Noun.CREDENTIAL, kind, stored(row), (told.token.id, told.token.expires_at))


def guessed(store: Store, policy: Policy, text: str, record: str) -> Guess | None:
    """Return what has to be worked out to prove the secret of an access key, by the key's id.

    None where the text is no such secret: those that we made are found by their digest.
    """
    kinds = _access_keys(policy)
    if not kinds or len(text) > MAX_PASSWORD:
        return None
    claimed = next(iter(kinds.values())).claim(text, key_id=record)
    if claimed.password is None:
        return None
    row = _access_key(store, kinds, record)
    held = bytes(row["digest"]) if row is not None else b""
    slow = held if len(held) > DIGEST_LENGTH else None
    return Guess(record, claimed.password, f"{_ACCOUNT}:{record}", slow)


def by_work(store: Store, policy: Policy, record: str) -> Proven | None:
    """Return the access key whose secret was found to be right; its secret never changes."""
    row = _access_key(store, _access_keys(policy), record)
    return Proven(Noun.CREDENTIAL, row["kind"], row) if row is not None else None


def _access_keys(policy: Policy) -> dict[str, AccessKey]:
    return {one.name: one for one in policy.kinds.values() if isinstance(one, AccessKey)}


def _access_key(store: Store, kinds: Iterable[str], record: str) -> dict[str, Any] | None:
    table = schema.credential
    wanted = sa.select(table).where(table.c.id == record, table.c.kind.in_(kinds))
    with store.reading() as connection:
        row = connection.execute(wanted).mappings().first()
    return stored(row) if row is not None else None
