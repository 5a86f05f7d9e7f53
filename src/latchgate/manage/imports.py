"""Moving in: credentials of another system become credentials here, many in one transaction.

Rule of this file: a line goes in whole or is told with what is wrong; the others go in all the
same. What is there already is left as it is, so an import that was broken off is simply run again.
"""

from __future__ import annotations

import base64
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.core.kinds import ImportedKey
from latchgate.core.kinds.access_key import AccessKey
from latchgate.core.kinds.account_password import AccountPassword
from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.core.scope import ALL, Scopes
from latchgate.core.secret import same
from latchgate.manage import access_rules, logins, roles, users
from latchgate.manage.access_keys import login_of
from latchgate.manage.errors import InvalidError
from latchgate.manage.import_judged import Failure, Judge, Judged, Numbered, Ready
from latchgate.manage.import_lines import ImportLine, LineError, is_slow, worked_out
from latchgate.manage.import_whose import Home, Whose
from latchgate.manage.records import new_id
from latchgate.signin.foreign import is_foreign
from latchgate.store import schema
from latchgate.store.journal import Actor, Change, Store
from latchgate.store.members import members

_SALT_BYTES = 16
_PHC_PARTS = 5  # of `$argon2id$v=…$m=…$salt$hash`, and what is before it
_TABLE = schema.credential
_KEPT = sa.select(_TABLE.c.id, _TABLE.c.kind, _TABLE.c.tenant_id, _TABLE.c.digest).where(
    _TABLE.c.id.in_(members("ids"))
)


class Defaults(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is true of every line that does not say otherwise.

    `create_users` makes owners that are not there yet, with the role `user_role` (id or name).
    """

    line: ImportLine = ImportLine()
    create_users: bool = False
    user_role: str | None = None


class Outcome(msgspec.Struct):
    """What some lines came to; `n` is the journal number that verifiers must reach."""

    imported: int = 0
    skipped: int = 0
    users: int = 0
    failed: list[Failure] = []
    n: int = 0

    def add(self, other: Outcome) -> None:
        """Count another outcome in."""
        self.imported += other.imported
        self.skipped += other.skipped
        self.users += other.users
        self.failed += other.failed
        self.n = other.n or self.n


@dataclass(frozen=True, slots=True)
class Bounds:
    """What whoever imports is bound by.

    `holds` is what they may hand out, `barred` the user whom they import nothing for, `slow` how
    many hashes at a time they may have wrapped; None for no bound.
    """

    holds: Scopes = ALL
    barred: str | None = None
    slow: int | None = None


class Importer:
    """Takes lines for one tenant.

    `bounds` are those of whoever imports; `entropy` gives n random bytes, `now` is Unix
    seconds. With `dry_run` everything is judged and nothing is changed.
    """

    def __init__(
        self,
        store: Store,
        policy: Policy,
        actor: Actor,
        tenant_id: str,
        *,
        defaults: Defaults,
        entropy: Callable[[int], bytes],
        bounds: Bounds = Bounds(),
        dry_run: bool = False,
    ) -> None:
        self._store = store
        self._actor = actor
        self._tenant_id = tenant_id
        self._defaults = defaults
        self._entropy = entropy
        self._bounds = bounds
        self._holds = bounds.holds
        self._dry_run = dry_run
        self._wrapped = 0
        self._judge = Judge(policy, defaults.line, holds=bounds.holds)

    def take(self, lines: Iterable[Numbered], *, now: float) -> Outcome:
        """Judge and import some lines in one transaction, all that can be.

        InvalidError when nothing can be imported for the tenant; StoreError.
        """
        return self.enter(self._judge.judge(lines, now=now), now=now)

    def enter(self, judged: Judged, *, now: float) -> Outcome:
        """Import lines that were judged already, as `take` does."""
        outcome, self._wrapped = Outcome(failed=judged.failed), 0
        ready = judged.ready
        with self._store.reading() as connection:
            # Of the others nothing is slow to work out; they are looked up with what is written.
            named = (one.found.id for one in ready if one.found.given is not None)
            kept = _kept(connection, named)
            if self._dry_run:
                ready = [one for one in ready if self._worked(one, kept, outcome)]
                self._enter(connection, None, ready, outcome, now)
        if not self._dry_run:
            # Before the transaction: nobody waits for the work.
            ready = [one for one in ready if self._worked(one, kept, outcome)]
            with self._store.change(self._actor) as change:
                self._enter(change.connection, change, ready, outcome, now)
                outcome.n = change.n
        outcome.failed.sort(key=lambda failure: failure.line)
        return outcome

    def _worked(self, one: Ready, kept: dict[str, Any], outcome: Outcome) -> bool:
        """Work out what is stored of a line; what is stored already is worked out as it was."""
        if one.digest is not None:
            return True
        row = kept.get(one.found.id)
        slow = is_slow(one.found)
        if slow and ((row is None and self._dry_run) or (row is not None and _was_used(one, row))):
            return True
        salt = _salt_of(bytes(row.digest)) if row is not None else b""
        try:
            if slow:
                self._count_slow()
            one.digest = worked_out(one.found, salt or self._entropy(_SALT_BYTES))
        except LineError as error:
            outcome.failed.append(Failure(one.number, str(error)))
            return False
        return True

    def _count_slow(self) -> None:
        self._wrapped += 1
        most = self._bounds.slow
        if most is not None and self._wrapped > most:
            raise LineError(f"hash: only {most} as weak are taken at a time; send it in another")

    def _enter(
        self,
        connection: sa.Connection,
        change: Change | None,
        ready: list[Ready],
        outcome: Outcome,
        now: float,
    ) -> None:
        """Judge lines by what is stored, and write those that are right; None writes nothing."""
        whose = Whose(connection, self._tenant_id)
        kept = _kept(connection, (one.found.id for one in ready))
        seen: dict[str, bytes | str | None] = {}
        rows: list[dict[str, Any]] = []
        for one in ready:
            found = one.found
            told = found.given if found.given is not None else one.digest
            try:
                if _came_before(seen, found.id, told):
                    outcome.skipped += 1
                    continue
                if self._is_there(one, kept.get(found.id)):
                    outcome.skipped += 1
                    seen[found.id] = told
                    continue
                home = self._home(whose, change, one.line, outcome)
                row = self._row(one, home, now)
                if isinstance(found.kind, AccountPassword | AccessKey):
                    self._enter_named(whose, change, one, home, row)
                else:
                    rows.append(row)
            except LineError as error:
                outcome.failed.append(Failure(one.number, str(error)))
                continue
            seen[found.id] = told
            outcome.imported += 1
        if change is not None:
            # In the order of the index, which is written page by page then.
            rows.sort(key=operator.itemgetter("id"))
            change.add_many(
                "credential.import", Noun.CREDENTIAL, _TABLE, rows, tenant_id=self._tenant_id
            )

    def _is_there(self, one: Ready, row: sa.Row[Any] | None) -> bool:
        """Whether a line is in the database already; LineError when something else has its id."""
        if row is None:
            return False
        if row.tenant_id != self._tenant_id or row.kind != one.found.kind.name:
            raise LineError("id: another credential has it")
        if _was_used(one, row):
            return True
        if one.digest is None or not same(bytes(row.digest), one.digest):
            raise LineError("id: is there already with another secret; revoke that first")
        return True

    def _home(
        self, whose: Whose, change: Change | None, line: ImportLine, outcome: Outcome
    ) -> Home:
        """Find owner and project of a line; a missing owner is made where that was asked for."""
        owner = line.owner or line.login
        if owner is None:
            raise LineError("owner: whose is it?")
        if whose.user(owner) is None and self._defaults.create_users:
            project_id = whose.project(line.project) if line.project is not None else None
            role = self._defaults.user_role
            role_id = whose.role(role) if role is not None else None
            if project_id is None:
                raise LineError("project: name the one that new users are made in")
            if role_id is not None:
                self._check_role(whose, [role_id])
            user_id = new_id("u", self._entropy)
            if change is not None:
                users.add(change, user_id, self._tenant_id, owner, "main")
                if role_id is not None:
                    roles.assign(change, self._tenant_id, user_id, project_id, role_id)
            whose.made(owner, user_id, project_id)
            outcome.users += 1
        home = whose.home(owner, line.project)
        if home.user_id == self._bounds.barred:
            raise LineError("owner: is you, and what you came with has an end or networks")
        return home

    def _check_role(self, whose: Whose, role_ids: list[str]) -> None:
        lacking = self._holds.lacking(whose.scopes_of(role_ids))
        if lacking:
            raise LineError(f"roles: you don't hold {', '.join(lacking)}")

    def _row(self, one: Ready, home: Home, now: float) -> dict[str, Any]:
        line, found, terms = one.line, one.found, one.terms
        return {
            "id": found.id,
            "kind": found.kind.name,
            "tenant_id": self._tenant_id,
            "project_id": home.project_id,
            "owner_id": home.user_id,
            "parent_id": None,
            "name": line.name or found.login or f"imported {found.id[:16]}",
            "description": line.description or "",
            "services": terms.services,
            "scopes": terms.listed,
            "networks": terms.networks,
            "environment": line.environment,
            "external_id": line.external_id,
            "metadata": line.metadata or {},
            "digest": one.digest,
            "hint": found.hint,
            "created_at": terms.created_at(line, now),
            "created_by": self._actor.name,
            "expires_at": terms.expires_at,
            "revoked_at": None,
            "issues": bool(line.unrestricted) and not isinstance(found.kind, ImportedKey),
        }

    def _enter_named(
        self,
        whose: Whose,
        change: Change | None,
        one: Ready,
        home: Home,
        row: dict[str, Any],
    ) -> None:
        """Write a credential that is found by a name: a password by its login, an access key."""
        line, found, tenant_id = one.line, one.found, self._tenant_id
        connection = whose.connection
        is_key = isinstance(found.kind, AccessKey)
        login = login_of(home.user_id, row["name"]) if is_key else found.login or ""
        taken = whose.login(login)
        if taken is not None and (is_key or taken != home.user_id):
            raise LineError(f"{'name' if is_key else 'login'}: is taken already")
        if not is_key and whose.has_password(login, found.kind.name):
            raise LineError("login: has a password already, which stays as it is")
        if is_key:
            row["roles"] = [whose.role(role) for role in line.roles or ()]
            self._check_role(whose, row["roles"])
            if not row["roles"]:
                raise LineError("roles: an access key stands for one or more")
        else:
            row["issues"] = True  # as with every person's own password: it is how they begin
        whose.took(login, home.user_id, found.kind.name)
        if change is None:
            return
        if is_key and line.access_rules is not None:
            try:
                kept = access_rules.kept(
                    change, home.user_id, line.access_rules, entropy=self._entropy
                )
            except InvalidError as error:
                raise LineError(str(error)) from None
            row["access_rules"] = msgspec.to_builtins(kept)
        if taken is None:
            logins.write_login(change, tenant_id, home.user_id, login)
        change.add("credential.import", Noun.CREDENTIAL, _TABLE, row, tenant_id=tenant_id)
        link = {"login_id": login, "kind": found.kind.name, "credential_id": found.id}
        connection.execute(sa.insert(schema.login_credential).values(**link))
        told = {"after": {"kind": found.kind.name, "credential_id": found.id}}
        change.note("login.change", Noun.LOGIN, login, tenant_id=tenant_id, detail=told)


def _kept(connection: sa.Connection, ids: Iterable[str]) -> dict[str, Any]:
    """Return what is stored under ids, as rows."""
    wanted = list(ids)
    if not wanted:
        return {}
    rows = connection.execute(_KEPT, {"ids": msgspec.json.encode(wanted).decode()})
    return {row.id: row for row in rows}


def _came_before(seen: dict[str, bytes | str | None], name: str, told: bytes | str | None) -> bool:
    """Whether an earlier line was the same credential; LineError where it had another secret."""
    if name in seen and seen[name] != told:
        raise LineError("id: an earlier line has another secret for it")
    return name in seen


def _was_used(one: Ready, row: sa.Row[Any]) -> bool:
    """Whether argon2id took the place of the hash that a line gives: its password was used."""
    given = one.found.given
    return given is not None and is_foreign(given.encode()) and not is_foreign(bytes(row.digest))


def _salt_of(stored: bytes) -> bytes:
    """Return the salt that a weak hash was wrapped with; nothing where it was not."""
    parts = stored.decode("ascii", "replace").split("$")
    text = parts[-2] if len(parts) > _PHC_PARTS else ""
    try:
        salt = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return b""
    return salt if len(salt) == _SALT_BYTES else b""
