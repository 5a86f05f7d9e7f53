"""What took rights away after a backup was made, done again to the database restored from it.

Rule of this file: two states are compared, not journal rows replayed: whatever changes are called,
a record ends no wider than it was. Nothing is ever widened, and nothing made anew. Policies are
left alone: none is the narrower of two, and the operator has the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.core.network import Networks
from latchgate.core.scope import Scopes
from latchgate.signin import session
from latchgate.store import schema
from latchgate.store.journal import Change, stored
from latchgate.store.sqlite import Connection, connect, faults

ACTION = "database.narrow"
# What a column is to be, from what it is and what it was in the replaced database.
Rule = Callable[[Any, Any], Any]


def _earlier(now: float | None, was: float | None) -> float | None:
    return min((one for one in (now, was) if one is not None), default=None)


def _later(now: float | None, was: float | None) -> float | None:
    return max((one for one in (now, was) if one is not None), default=None)


def _both(now: object, was: object) -> bool:
    return bool(now) and bool(was)


def _all_of(now: Mapping[str, float] | None, was: Mapping[str, float] | None) -> Any:  # noqa: ANN401 - as stored
    return {**now, **was} if now and was else was or now


def _shared(now: list[str], was: list[str]) -> list[str]:
    kept = (Scopes.of(now) & Scopes.of(was)).listed()
    return now if set(kept) == set(now) else kept


def _still(now: list[Any], was: list[Any]) -> list[Any]:
    return [one for one in now if one in was]


def _named(now: list[Any] | None, was: list[Any] | None) -> list[Any] | None:
    """Take what both name, where naming none of them means all."""
    if was is None:
        return now
    return was if now is None else _still(now, was)


def _inside(now: list[str] | None, was: list[str] | None) -> list[str] | None:
    """Take the later networks where they lie within those of the backup."""
    if was is None or (now is not None and not Networks.of(was).within(Networks.of(now))):
        return now
    return was if now is None or set(was) != set(now) else now


def _unapproved(now: str, was: str) -> str:
    return was if now == "approved" else now


_RULES: tuple[tuple[Noun, sa.Table, Mapping[str, Rule]], ...] = (
    (Noun.TENANT, schema.tenant, {"active": _both}),
    (Noun.PROJECT, schema.project, {"active": _both}),
    (Noun.ROLE, schema.role, {"scopes": _shared, "implies": _still}),
    (
        Noun.USER,
        schema.user,
        {"active": _both, "api": _both, "networks": _inside, "deleted_at": _earlier},
    ),
    (Noun.APPLICATION, schema.application, {"state": _unapproved}),
    (
        Noun.APPLICATION_KEY,
        schema.application_key,
        {"revoked_at": _earlier, "expires_at": _earlier},
    ),
    (
        Noun.OAUTH_CLIENT,
        schema.oauth_client,
        {
            "disabled_at": _earlier,
            "withdrawn_at": _earlier,
            "scopes": _shared,
            "grant_types": _still,
            "redirect_uris": _still,
            "logout_uris": _still,
        },
    ),
    # Of two rules on claims none is told to be the narrower; its grant bounds what they open.
    (Noun.WORKLOAD, schema.workload, {"disabled_at": _earlier, "scopes": _shared}),
    (
        Noun.CREDENTIAL,
        schema.credential,
        {
            "revoked_at": _earlier,
            "expires_at": _earlier,
            "disabled_at": _earlier,
            "tokens_after": _later,
            "denied_tokens": _all_of,
            "scopes": _shared,
            "networks": _inside,
            "issues": _both,
            "roles": _named,
            "access_rules": _named,
        },
    ),
    (Noun.WORKLOAD, schema.workload, {"disabled_at": _earlier, "scopes": _shared}),
)


class Narrowed(msgspec.Struct, frozen=True):
    """One record that was narrowed again: what it is of, its id, and the columns or `taken`."""

    noun: str
    record: str
    what: list[str]


def narrow(change: Change, replaced: Path) -> list[Narrowed]:
    """Narrow every record that the replaced database held narrower; returns what was done.

    Both databases have this program's schema. StoreError when the replaced one can't be read.
    """
    with closing(connect(replaced, durable=True, read_only=True)) as before, faults():
        done = [one for rule in _RULES for one in _records(change, before, *rule)]
        done += _roles(change, before)
        done += _logins(change, before)
        done += _blocks(change, before)
        done += _consents(change, before)
        done += _authenticators(change, before)
    return done


def forget_passing(change: Change) -> None:
    """End what a backup must not bring back, as part of a restore: people sign in again.

    A session that ended since would go on, and a refresh token that was used since would work a
    second time.
    """
    session.forget_all(change)
    for table in (schema.oauth_code, schema.oauth_device, schema.oauth_refresh):
        change.execute(sa.delete(table))


def _rows(before: Connection, asked: str) -> Iterator[dict[str, Any]]:
    found = before.execute(asked)
    names = [column[0] for column in found.description]
    return (dict(zip(names, row, strict=True)) for row in found)


def _records(
    change: Change,
    before: Connection,
    noun: Noun,
    table: sa.Table,
    rules: Mapping[str, Rule],
) -> Iterator[Narrowed]:
    columns = ["id", *rules]
    asked = f"SELECT {', '.join(columns)} FROM {table.name}"  # noqa: S608 - names of ours
    for row in _rows(before, asked):
        found = change.execute(sa.select(table).where(table.c.id == row["id"])).mappings().first()
        if found is None:
            continue
        was, now = stored(row), stored(found)
        wanted = {name: rule(now[name], was[name]) for name, rule in rules.items()}
        narrower = {name: value for name, value in wanted.items() if value != now[name]}
        if not narrower:
            continue
        told = {"id": now["id"], **{name: now[name] for name in narrower}}
        tenant = now["id"] if noun is Noun.TENANT else now.get("tenant_id")
        if "version" in table.c:
            change.alter(ACTION, noun, table, told, narrower, tenant_id=tenant)
        else:
            detail = {"before": told, "after": narrower}
            change.note(ACTION, noun, now["id"], tenant_id=tenant, detail=detail)
            change.execute(sa.update(table).where(table.c.id == now["id"]).values(**narrower))
        yield Narrowed(str(noun), now["id"], sorted(narrower))


def _roles(change: Change, before: Connection) -> Iterator[Narrowed]:
    """Take roles that were taken: in a project, from a user whom both databases know."""
    table, user = schema.role_assignment, schema.user
    held = {
        tuple(row.values())
        for row in _rows(before, "SELECT user_id, project_id, role_id FROM role_assignment")
    }
    known = {row["id"] for row in _rows(before, "SELECT id FROM account")}
    listed = sa.select(table, user.c.tenant_id).join(user, user.c.id == table.c.user_id)
    for row in change.execute(listed).all():
        if row.user_id not in known or (row.user_id, row.project_id, row.role_id) in held:
            continue
        taken = {"project_id": row.project_id, "role_id": row.role_id}
        change.note(
            ACTION, Noun.USER, row.user_id, tenant_id=row.tenant_id, detail={"taken": taken}
        )
        change.execute(
            sa.delete(table).where(
                table.c.user_id == row.user_id,
                table.c.project_id == row.project_id,
                table.c.role_id == row.role_id,
            )
        )
        yield Narrowed(str(Noun.USER), row.user_id, [f"role {row.role_id} taken"])


def _logins(change: Change, before: Connection) -> Iterator[Narrowed]:
    """Take logins that were deleted, with what they led to."""
    table, below, user = schema.login, schema.login_credential, schema.user
    held = {row["id"] for row in _rows(before, "SELECT id FROM login")}
    known = {row["id"] for row in _rows(before, "SELECT id FROM account")}
    listed = sa.select(table, user.c.tenant_id).join(user, user.c.id == table.c.user_id)
    for row in change.execute(listed).all():
        if row.id in held or row.user_id not in known:
            continue
        detail = {"taken": {"user_id": row.user_id}}
        change.note(ACTION, Noun.LOGIN, row.id, tenant_id=row.tenant_id, detail=detail)
        change.execute(sa.delete(below).where(below.c.login_id == row.id))
        change.execute(sa.delete(table).where(table.c.id == row.id))
        yield Narrowed(str(Noun.LOGIN), row.id, ["deleted"])


def _blocks(change: Change, before: Connection) -> Iterator[Narrowed]:
    """Put back blocks of applications, where user and application are known."""
    table, user, application = schema.application_block, schema.user, schema.application
    for row in _rows(
        before, "SELECT user_id, application_id, blocked_by, at FROM application_block"
    ):
        whose = change.execute(
            sa.select(user.c.tenant_id).where(user.c.id == row["user_id"])
        ).first()
        named = sa.select(application.c.id).where(application.c.id == row["application_id"])
        same = sa.select(table.c.at).where(
            table.c.user_id == row["user_id"],
            table.c.application_id == row["application_id"],
            table.c.blocked_by == row["blocked_by"],
        )
        if whose is None or change.execute(named).first() is None:
            continue
        if change.execute(same).first() is not None:
            continue
        detail = {"blocked": {"application_id": row["application_id"]}}
        change.note(ACTION, Noun.USER, row["user_id"], tenant_id=whose.tenant_id, detail=detail)
        change.execute(sa.insert(table).values(**row))
        yield Narrowed(str(Noun.USER), row["user_id"], [f"blocks {row['application_id']}"])


def _consents(change: Change, before: Connection) -> Iterator[Narrowed]:
    """Take consents that were withdrawn, where user and client are known; their grants ended."""
    table, user = schema.consent, schema.user
    held = {row["id"] for row in _rows(before, "SELECT id FROM consent")}
    known = {row["id"] for row in _rows(before, "SELECT id FROM account")}
    known_clients = {row["id"] for row in _rows(before, "SELECT id FROM oauth_client")}
    listed = sa.select(table, user.c.tenant_id).join(user, user.c.id == table.c.user_id)
    for row in change.execute(listed).all():
        unknown = row.user_id not in known or row.client_id not in known_clients
        if row.id in held or unknown:
            continue
        detail = {"taken": {"user_id": row.user_id, "client_id": row.client_id}}
        change.note(ACTION, Noun.CONSENT, row.id, tenant_id=row.tenant_id, detail=detail)
        change.execute(sa.delete(table).where(table.c.id == row.id))
        yield Narrowed(str(Noun.CONSENT), row.id, ["withdrawn"])


def _authenticators(change: Change, before: Connection) -> Iterator[Narrowed]:
    """Take what users signed in with and removed since: a lost passkey must not come back."""
    table, user = schema.authenticator, schema.user
    held = {row["id"] for row in _rows(before, "SELECT id FROM authenticator")}
    known = {row["id"] for row in _rows(before, "SELECT id FROM account")}
    wanted = sa.select(table.c.id, table.c.user_id, user.c.tenant_id)
    for row in change.execute(wanted.join(user, user.c.id == table.c.user_id)).all():
        if row.id in held or row.user_id not in known:
            continue
        detail = {"taken": {"user_id": row.user_id}}
        change.note(ACTION, Noun.AUTHENTICATOR, row.id, tenant_id=row.tenant_id, detail=detail)
        change.execute(sa.delete(table).where(table.c.id == row.id))
        yield Narrowed(str(Noun.AUTHENTICATOR), row.id, ["removed"])
