"""A tenant's own records as an export, for its administrators.

Rule of this file: every table is either given by what belongs to the tenant or left out for a
reason. Digests go along, or nothing of it would open a door; so nobody is given the hash of a
password that opens more than they hold themselves (ATTACKS D5.38).
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, Literal

import msgspec
import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.core.scope import NONE
from latchgate.manage.actor import Caller
from latchgate.manage.administrators import reached, usable
from latchgate.manage.errors import ForbiddenError, TooManyError
from latchgate.manage.export_form import write_export
from latchgate.store import schema
from latchgate.store.journal import Store

_TENANT = "tenant_id = :tenant"
_USER = "user_id IN (SELECT id FROM account WHERE tenant_id = :tenant)"
# Which rows of a table are the tenant's.
OWN: Mapping[str, str] = {
    "tenant": "id = :tenant",
    "account": _TENANT,
    "project": _TENANT,
    "role": f"{_TENANT} OR tenant_id IS NULL",
    "role_assignment": _USER,
    "credential": f"{_TENANT} AND application_id IS NULL",  # grants are of clients
    "login": _USER,
    "login_credential": "login_id IN (SELECT login.id FROM login JOIN account"
    " ON account.id = login.user_id WHERE account.tenant_id = :tenant)",
    "access_rule": _USER,
    "upcloud_permission": _USER,
    "storage": "id IN (SELECT id FROM account WHERE tenant_id = :tenant)",
    "lifetime": _TENANT,
    "alert": _TENANT,
    "alert_raised": "alert_id IN (SELECT id FROM alert WHERE tenant_id = :tenant)",
    "leak": _TENANT,
    "leak_rule": _TENANT,
}
LEFT_OUT: Mapping[str, str] = {
    "application": "belongs to the operator, and acts for every tenant",
    "application_key": "belongs to an application",
    "application_block": "blocks an application, which is not in it",
    "authenticator": "is sealed under this installation's master key, or made for its address",
    "ceremony": "sign-ins half done, in browsers at the old address",
    "consent": "was given to a client, which is not in it",
    "delivery": "under way from this installation",
    "idempotency": "answers to repeated requests, for a day, of clients of the old address",
    "journal": "is one chain over all tenants; its rows of a tenant are listed by /manage/v1/audit",
    "duty": "who runs this installation's jobs",
    "journal_head": "told by the header",
    "notification": "under way from this installation",
    "oauth_client": "belongs to an application",
    "oauth_code": "is for a client, and lasts a minute",
    "oauth_device": "is for a client, and lasts minutes",
    "oauth_refresh": "belongs to a client's grant",
    "policy_version": "belongs to the operator",
    "promise": "made by this installation",
    "receipt": "of this installation's verifiers",
    "schema_window": "told by the header",
    "session": "people sign in anew at the new address",
    "signing_key": "belongs to the operator",
    "verifier": "of this installation",
    "warned": "who was warned by this installation",
    "workload": "acts by a grant, which is not in it",
    "webhook": "its secret is sealed under this installation's master key",
}
_ONE = threading.Lock()
_WAIT_SECONDS = 10
_PIECES = {"yield_per": 1_000}


class ExportRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """In which form."""

    format: Literal["latchgate-export-1"]


def export_tenant(store: Store, caller: Caller, *, now: float) -> IO[bytes]:
    """Return the caller's tenant as an export, in a file without a name, read from its beginning.

    One is written at a time, in one snapshot. ForbiddenError when somebody in the tenant may do
    what the caller may not, or the caller's credential may not make others; TooManyError while
    another is written; StoreError, OSError.
    """
    if not caller.credential.issues:
        raise ForbiddenError("the credential you came with may not make others")
    if not _ONE.acquire(blocking=False):
        why = "another export is being written; ask again when it is done"
        raise TooManyError(why, retry_after=_WAIT_SECONDS)
    try:
        # Beside a database's file: who can read that folder has all of it already.
        beside = store.database.parent if isinstance(store.database, Path) else None
        file = tempfile.TemporaryFile(dir=beside)  # noqa: SIM115 - handed on
        try:
            _write(store, caller, file, now)
        except BaseException:
            file.close()
            raise
    finally:
        _ONE.release()
    file.seek(0)
    return file


def _write(store: Store, caller: Caller, file: IO[bytes], now: float) -> None:
    chosen = [table for table in schema.main.sorted_tables if table.name in OWN]
    with store.reading() as connection:
        connection.begin()
        _check(connection, caller)
        given = {"tenant": caller.tenant_id}

        def ask(asked: str) -> Iterable[sa.Row[Any]]:
            used = {name: value for name, value in given.items() if f":{name}" in asked}
            return connection.execute(sa.text(asked), used, execution_options=_PIECES)

        header, counts = write_export(file, ask, chosen, now=now, only=OWN)
    # Before the first byte leaves: no export is without its row.
    with store.change(caller.actor) as change:
        told = {"n": header.n, "rows": sum(counts.values())}
        change.note(
            "tenant.export",
            Noun.TENANT,
            caller.tenant_id,
            tenant_id=caller.tenant_id,
            detail=told,
        )


def _check(connection: sa.Connection, caller: Caller) -> None:
    """Refuse a caller who holds less, in all their projects, than somebody else in the tenant."""
    held, user = schema.role_assignment, schema.user
    given = (
        sa.select(held.c.user_id, held.c.role_id)
        .join(user, user.c.id == held.c.user_id)
        .where(user.c.tenant_id == caller.tenant_id)
        .distinct()
    )
    roles = usable(connection, caller.tenant_id)
    mine = everybodys = NONE
    for user_id, role_id in connection.execute(given):
        scopes = reached(roles, role_id)[0]
        everybodys |= scopes
        if user_id == caller.owner.id:
            mine |= scopes
    lacking = mine.lacking(everybodys)
    if lacking:
        msg = f"somebody in your tenant holds {', '.join(lacking)}, which you don't"
        raise ForbiddenError(msg)
