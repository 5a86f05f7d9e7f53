"""Access keys: made by their owner with roles of one project, listed, shown, deleted.

Rule of this file: a key stands for roles that its owner holds, and that what it is made with stands
for; what a key's own token makes ends with that key. Whoever deletes one proves again that it is
they. Source: providers/kakaocloud, "Get access key", "Delete Access key"; Keystone v3,
"Application credentials".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa

from latchgate.core.basic import MAX_PASSWORD
from latchgate.core.kinds.access_key import AccessKey, made_by_system
from latchgate.core.kinds.spec import Spec
from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.core.scope import ALL, EVERY
from latchgate.core.secret import Secret
from latchgate.manage import logins, passwords
from latchgate.manage.access_rules import RuleSpec, StoredRule
from latchgate.manage.actor import Caller
from latchgate.manage.administrators import Roles, usable
from latchgate.manage.credentials import NewCredential, add_credential
from latchgate.manage.errors import ForbiddenError, InvalidError, NotFoundError
from latchgate.manage.gate import may_issue
from latchgate.manage.granted import Granted, Maker, check_rules, given_rules, offered
from latchgate.manage.idempotency import Once, recall, remember
from latchgate.manage.key_terms import read_expiry, within_life
from latchgate.manage.keys import Line, Name, Text
from latchgate.manage.listing import Filter, Listing, Query, by, equals, holding, page, truth
from latchgate.manage.profile import HeldRole
from latchgate.manage.records import ANY, IfMatch, find
from latchgate.manage.rotation import Rows
from latchgate.manage.states import LISTED, in_state
from latchgate.manage.step_up import check_proof
from latchgate.signin.rules import normalized, password_faults
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Change, Store

_TABLE = schema.credential
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class AccessKeySpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a new access key shall be.

    `project_id` is the caller's own unless told. `roles` are ids or names of roles that its owner
    holds there; absent means all of them. `access_rules` absent means every request.
    `unrestricted` says that its tokens may make further access keys. `expires_in` is a duration
    such as `90d`, `expires_at` an RFC 3339 time; neither means the longest life that the
    tenant's policy lets it have, or none where it sets none. `secret` is one that the caller
    chose; one is made unless given.
    """

    name: Line
    description: Text = ""
    project_id: _Id | None = None
    roles: Annotated[list[Name], msgspec.Meta(min_length=1, max_length=64)] | None = None
    access_rules: Annotated[list[RuleSpec], msgspec.Meta(min_length=1, max_length=32)] | None = None
    unrestricted: bool = False
    expires_in: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    expires_at: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    secret: Annotated[str, msgspec.Meta(min_length=1, max_length=4 * MAX_PASSWORD)] | None = None

    def __repr__(self) -> str:
        return f"AccessKeySpec({self.name!r})"


class KeyRole(msgspec.Struct, frozen=True):
    """A role that a key stands for; `name` is None for one that was deleted since."""

    id: str
    name: str | None


class StoredAccessKey(msgspec.Struct, frozen=True):
    """An access key as stored, without its digest; times are Unix seconds.

    `parent_id` is the access key with whose token it was made, and with which it ends.
    """

    id: str
    name: str
    description: str
    owner_id: str
    project_id: str
    roles: list[KeyRole]
    access_rules: list[StoredRule] | None
    unrestricted: bool
    parent_id: str | None
    created_at: float
    created_by: str
    expires_at: float | None
    revoked_at: float | None
    disabled_at: float | None
    superseded_by: str | None
    superseded_at: float | None
    predecessor_id: str | None
    version: int


def _state(text: str, now: float) -> sa.ColumnElement[bool]:
    return in_state(text, now, *LISTED)


LISTING = Listing(
    table=_TABLE,
    searched=("id", "name", "description"),
    filters={
        "state": Filter({"type": "string", "enum": list(LISTED)}, _state),
        "name": equals(_TABLE.c.name),
        "project_id": equals(_TABLE.c.project_id),
        "role_id": holding(_TABLE.c.roles),
        "unrestricted": truth(_TABLE.c.issues),
    },
    sorts={
        "created_at": by(_TABLE.c.created_at),
        "expires_at": by(_TABLE.c.expires_at),
        "name": by(_TABLE.c.name),
    },
)


def create(
    store: Store,
    policy: Policy,
    caller: Caller,
    spec: AccessKeySpec,
    *,
    now: float,
    entropy: Callable[[int], bytes],
    hashed: bytes | None = None,
    once: Once | None = None,
) -> tuple[StoredAccessKey, Secret | None, bool]:
    """Make an access key for the caller; returns it, its secret, and whether it is new.

    `hashed` is the argon2id of `spec.secret`, which `check_secret` passed; then no secret is
    returned, nor to a repeat of `once`, which finds the key as it is now.
    InvalidError names each field (RoleUnknownError a role that there is not), ForbiddenError what
    the caller can't hand out (RoleNotHeldError a role), ConflictError a name that they use already.
    """
    if (spec.secret is None) is not (hashed is None):
        msg = "a chosen secret comes with its hash, and no other"
        raise ValueError(msg)
    before = recall(store, caller, once, now)
    if before is not None:
        return shown(store, policy, caller, before), None, False
    kind = _kind(policy)
    faults: list[tuple[str, str]] = []
    asked = read_expiry(spec.expires_in, spec.expires_at, now, faults)
    if faults:
        raise InvalidError(faults)
    issued = kind.issue(Spec(service=""), entropy(kind.entropy_bytes))
    kept = issued if hashed is None else replace(issued, digest=hashed)
    with store.change(caller.actor) as change:
        remember(change, caller, once, issued.id)
        maker = Maker.of(change.connection, policy, caller)
        granted = Granted.of(change.connection, maker, spec.project_id, spec.roles)
        expires_at = within_life(change, caller.tenant_id, kind.name, spec, asked)
        new = NewCredential(
            kind=kind.name,
            issued=kept,
            owner=(caller.tenant_id, granted.project_id, caller.owner.id),
            parent_id=maker.parent_id,
            name=spec.name,
            description=spec.description,
            services=[EVERY],
            scopes=ALL,
            networks=may_issue(maker.caller, granted.scopes, None, expires_at),
            expires_at=expires_at,
            issues=spec.unrestricted,
            roles=granted.roles,
            access_rules=msgspec.to_builtins(
                given_rules(change, maker, spec.access_rules, entropy=entropy)
            ),
        )
        row = _named(change, caller, new)
        key = _stored(row, usable(change.connection, caller.tenant_id))
    return key, issued.secret if hashed is None else None, True


def _named(change: Change, caller: Caller, new: NewCredential) -> dict[str, Any]:
    """Write a new key, found by its id and by its name; ConflictError where the name is in use."""
    login = login_of(caller.owner.id, new.name)
    if logins.is_taken(change.connection, login):
        msg = f"You have an access key {new.name!r} already; take another name, or delete it."
        raise ConflictError(msg)
    logins.write_login(change, caller.tenant_id, caller.owner.id, login)
    row = add_credential(change, "access_key.create", new)
    link = {"login_id": login, "kind": new.kind, "credential_id": new.issued.id}
    change.execute(sa.insert(schema.login_credential).values(**link))
    return row


def offered_roles(store: Store, caller: Caller) -> list[HeldRole]:
    """Return the roles that a key of the caller's can have in the project they work in, by name.

    InvalidError where they hold none there, ForbiddenError where they can't make a key at all.
    """
    with store.reading() as connection:
        return offered(connection, caller)


def check_secret(policy: Policy, caller: Caller, spec: AccessKeySpec) -> Secret | None:
    """Return a chosen secret in the form that is hashed (NFC); None where none was chosen.

    InvalidError says what it lacks. People's secrets are guessed where random ones can't be, so it
    must be what a password must be. Slow: not for an event loop.
    """
    if spec.secret is None:
        return None
    wanted = normalized(spec.secret)
    if made_by_system(wanted):
        told = "is spelled like a secret that Latchgate makes; leave it out to have one made"
        raise InvalidError([("secret", told)])
    known = [spec.name, caller.owner.name, *passwords.provider_words(policy)]
    faults = password_faults(wanted, known=known)
    if faults:
        hint = "leave it out to have one made"
        raise InvalidError([("secret", f"{fault} Or {hint}.") for fault in faults])
    return Secret(wanted)


def login_namespace(user_id: str) -> str:
    """Return the namespace in which the names of a user's access keys are looked up."""
    return f"access_key/{user_id}"


def login_of(user_id: str, name: str) -> str:
    """Return the id under which a user's access key is found by its name, which is exact."""
    return f"{login_namespace(user_id)}:{name}"


def listed(
    store: Store,
    policy: Policy,
    caller: Caller,
    query: Query,
    *,
    now: float,
    user_id: str | None = None,
) -> tuple[list[StoredAccessKey], str | None]:
    """Return a page of a user's access keys, oldest first unless told, and the next cursor.

    The caller's own unless told. InvalidError names the parameter that can't be taken,
    NotFoundError says that the tenant has no such user.
    """
    with store.reading() as connection:
        whose = _whose(connection, policy, caller, user_id)
        alive = _TABLE.c.revoked_at.is_(None)
        rows, following = page(connection, LISTING, query, *whose, alive, now=now)
        known = usable(connection, caller.tenant_id)
        return [_stored(row, known) for row in rows], following


def shown(
    store: Store, policy: Policy, caller: Caller, key_id: str, *, user_id: str | None = None
) -> StoredAccessKey:
    """Return one of a user's access keys, the caller's own unless told.

    NotFoundError when there is none, or none any more.
    """
    with store.reading() as connection:
        whose = _whose(connection, policy, caller, user_id)
        alive = _TABLE.c.revoked_at.is_(None)
        row = find(connection, _TABLE, key_id, *whose, alive, noun="access key")
        return _stored(row, usable(connection, caller.tenant_id))


def delete(
    store: Store,
    policy: Policy,
    caller: Caller,
    key_id: str,
    *,
    proven: bool,
    now: float,
    match: IfMatch = ANY,
) -> tuple[StoredAccessKey, int]:
    """Revoke one of the caller's own access keys at once, its tokens with it, and free its name.

    `proven` says that the owner's password came with the call and was right; StepUpError when it
    did not and nothing else proves who asks (`step_up.check_proof`). ForbiddenError for a token of
    a key that is not unrestricted. NotFoundError, StaleError. Returns the key and the journal
    number; a repeated one changes nothing and has its receipt waited for again.
    """
    with store.change(caller.actor) as change:
        whose = _whose(change.connection, policy, caller, None)
        row = find(change.connection, _TABLE, key_id, *whose, noun="access key", match=match)
        if caller.credential.minted and not caller.credential.issues:
            raise ForbiddenError("the credential you came with may not manage access keys")
        if not proven:
            check_proof(change.connection, policy, caller, now)
        return _ended(change, caller, row)


def rows(policy: Policy, caller: Caller, now: float) -> Rows:
    """Return which access keys a caller may rotate: their own, made of what they stand for.

    Without a grace the old one is deleted, which takes a proof (`step_up.check_proof`).
    """

    def check(change: Change, row: dict[str, Any], grace: int, expires_at: float | None) -> None:
        if caller.credential.minted and not caller.credential.issues:
            raise ForbiddenError("the credential you came with may not manage access keys")
        if not grace:
            check_proof(change.connection, policy, caller, now)
        maker = Maker.of(change.connection, policy, caller)
        granted = Granted.of(change.connection, maker, row["project_id"], row["roles"])
        may_issue(maker.caller, granted.scopes, None, expires_at)
        rules = msgspec.convert(row["access_rules"], list[StoredRule] | None)
        check_rules(maker, rules)

    whose = (
        _TABLE.c.owner_id == caller.owner.id,
        _TABLE.c.tenant_id == caller.tenant_id,
        _TABLE.c.kind == _kind(policy).name,
    )
    return Rows(whose, "access key", check=check)


def delete_of(
    store: Store,
    policy: Policy,
    caller: Caller,
    user_id: str,
    key_id: str,
    *,
    match: IfMatch = ANY,
) -> tuple[StoredAccessKey, int]:
    """Revoke an access key of another user of the tenant, as its administrator; see `delete`.

    ForbiddenError for one's own, which takes a proof.
    """
    with store.change(caller.actor) as change:
        whose = _whose(change.connection, policy, caller, user_id)
        row = find(change.connection, _TABLE, key_id, *whose, noun="access key", match=match)
        if user_id == caller.owner.id:
            msg = "it is your own: delete it as such, where you prove that it is you"
            raise ForbiddenError(msg)
        return _ended(change, caller, row)


def _ended(change: Change, caller: Caller, row: dict[str, Any]) -> tuple[StoredAccessKey, int]:
    known = usable(change.connection, caller.tenant_id)
    if row["revoked_at"] is not None:
        head: int = change.execute(sa.select(schema.journal_head.c.n)).scalar_one()
        return _stored(row, known), head
    if row["superseded_by"] is None:  # else its name is its successor's
        logins.free_login(change, caller.tenant_id, login_of(row["owner_id"], row["name"]))
    n = change.alter(
        "access_key.delete",
        Noun.CREDENTIAL,
        _TABLE,
        {"id": row["id"], "revoked_at": None},
        {"revoked_at": change.at},
        tenant_id=caller.tenant_id,
    )
    return _stored(row | {"revoked_at": change.at, "version": n}, known), n


def _kind(policy: Policy) -> AccessKey:
    for kind in policy.kinds.values():
        if isinstance(kind, AccessKey):
            return kind
    raise NotFoundError("no provider of the published policy has access keys")


def _whose(
    connection: sa.Connection, policy: Policy, caller: Caller, user_id: str | None
) -> tuple[sa.ColumnElement[bool], ...]:
    if user_id is not None:
        logins.user_in(connection, caller.tenant_id, user_id)
    return (
        _TABLE.c.owner_id == (user_id or caller.owner.id),
        _TABLE.c.tenant_id == caller.tenant_id,
        _TABLE.c.kind == _kind(policy).name,
    )


def _stored(row: dict[str, Any], known: Roles) -> StoredAccessKey:
    named = [
        KeyRole(role_id, known[role_id]["name"] if role_id in known else None)
        for role_id in row["roles"]
    ]
    told = row | {"roles": named, "unrestricted": bool(row["issues"])}
    if told["access_rules"] is not None:
        told["access_rules"] = msgspec.convert(told["access_rules"], list[StoredRule])
    return StoredAccessKey(**{name: told[name] for name in StoredAccessKey.__struct_fields__})
