"""Access rules of a user: kept with an id, so that several access keys can name the same one.

Rule of this file: a rule is never changed, and goes only when no key names it. What a key may ask
for is in the key's own record; these are for whoever makes the next one. Source: Keystone v3,
"Application credentials", access rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Literal

import msgspec
import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.manage.actor import Caller
from latchgate.manage.errors import InvalidError, NotFoundError
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Change, Store

_ID_BYTES = 16
_ID = re.compile(r"[0-9a-f]{32}")
_END = r"(?![\s\S])"
_TABLE = schema.access_rule
Method = Literal["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"]
_Word = Annotated[
    str, msgspec.Meta(min_length=1, max_length=255, pattern=rf"^[^\x00-\x1f\x7f]*{_END}")
]
_Path = Annotated[str, msgspec.Meta(max_length=225, pattern=rf"^/[^\x00-\x1f\x7f]*{_END}")]


class RuleSpec(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """A sort of request: service, method and path, or the id of a rule that the user has.

    In a path `*` and `{name}` stand for one segment or a part of it, `**` for any number.
    """

    id: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    service: _Word | None = None
    method: Method | None = None
    path: _Path | None = None


class StoredRule(msgspec.Struct, frozen=True):
    """A rule as stored."""

    id: str
    service: str
    method: str
    path: str

    @property
    def request(self) -> tuple[str, str, str]:
        """What it names, without its id."""
        return self.service, self.method, self.path


def naming(request: tuple[str, str, str]) -> RuleSpec:
    """Return what asks for a rule of a service, method and path."""
    return msgspec.convert(dict(zip(("service", "method", "path"), request, strict=True)), RuleSpec)


def listed(store: Store, caller: Caller) -> list[StoredRule]:
    """Return the caller's own rules, oldest first."""
    mine = sa.select(_TABLE).where(_TABLE.c.user_id == caller.owner.id)
    with store.reading() as connection:
        rows = connection.execute(mine.order_by(_TABLE.c.created_at, _TABLE.c.id)).mappings()
        return [_stored(row) for row in rows]


def shown(store: Store, caller: Caller, rule_id: str) -> StoredRule:
    """Return one of the caller's own rules; NotFoundError when there is none."""
    with store.reading() as connection:
        return _own(connection, caller.owner.id, rule_id)


def delete(store: Store, caller: Caller, rule_id: str) -> StoredRule:
    """Delete one of the caller's own rules; ConflictError while an access key names it."""
    with store.change(caller.actor) as change:
        rule = _own(change.connection, caller.owner.id, rule_id)
        if _is_in_use(change.connection, caller.owner.id, rule_id):
            raise ConflictError("May not delete access rule in use; delete the access keys first.")
        change.execute(sa.delete(_TABLE).where(_TABLE.c.id == rule_id))
        # Nothing is decided by it: it is its user's, and noted with them.
        change.note(
            "access_rule.delete",
            Noun.USER,
            caller.owner.id,
            tenant_id=caller.tenant_id,
            detail={"before": msgspec.structs.asdict(rule)},
        )
    return rule


def kept(
    change: Change, user_id: str, asked: Iterable[RuleSpec], *, entropy: Callable[[int], bytes]
) -> list[StoredRule]:
    """Return the rules asked for, each once; those that the user does not have yet are kept.

    InvalidError names each that is incomplete, or an id that is none of theirs.
    """
    faults: list[tuple[str, str]] = []
    found: dict[str, StoredRule] = {}
    for index, spec in enumerate(asked):
        try:
            rule = _kept(change, user_id, spec, entropy)
        except ValueError as error:
            faults.append((f"access_rules[{index}]", str(error)))
            continue
        found[rule.id] = rule
    if faults:
        raise InvalidError(faults)
    return list(found.values())


def _kept(
    change: Change, user_id: str, spec: RuleSpec, entropy: Callable[[int], bytes]
) -> StoredRule:
    told = (spec.service, spec.method, spec.path)
    if spec.id is not None:
        if told != (None, None, None):
            msg = "give either id or service, method and path"
            raise ValueError(msg)
        try:
            return _own(change.connection, user_id, spec.id)
        except NotFoundError as error:
            raise ValueError(str(error)) from error
    if spec.service is None or spec.method is None or spec.path is None:
        msg = "needs service, method and path, or the id of a rule that you have"
        raise ValueError(msg)
    same = sa.and_(
        _TABLE.c.user_id == user_id,
        _TABLE.c.service == spec.service,
        _TABLE.c.method == spec.method,
        _TABLE.c.path == spec.path,
    )
    had = change.execute(sa.select(_TABLE).where(same)).mappings().one_or_none()
    if had is not None:
        return _stored(had)
    rule = StoredRule(entropy(_ID_BYTES).hex(), spec.service, spec.method, spec.path)
    row = msgspec.structs.asdict(rule) | {"user_id": user_id, "created_at": change.at}
    change.execute(sa.insert(_TABLE).values(**row))
    return rule


def _is_in_use(connection: sa.Connection, user_id: str, rule_id: str) -> bool:
    table = schema.credential
    named = table.c.access_rules.contains(f'"{rule_id}"', autoescape=True)
    alive = sa.and_(table.c.owner_id == user_id, table.c.revoked_at.is_(None))
    return (
        connection.execute(sa.select(table.c.id).where(alive, named).limit(1)).first() is not None
    )


def _own(connection: sa.Connection, user_id: str, rule_id: str) -> StoredRule:
    mine = sa.and_(_TABLE.c.id == rule_id, _TABLE.c.user_id == user_id)
    found = None
    if _ID.fullmatch(rule_id):
        found = connection.execute(sa.select(_TABLE).where(mine)).mappings().one_or_none()
    if found is None:
        raise NotFoundError(f"there is no access rule {rule_id[:64]!r}")
    return _stored(found)


def _stored(row: sa.RowMapping) -> StoredRule:
    return StoredRule(row["id"], row["service"], row["method"], row["path"])
