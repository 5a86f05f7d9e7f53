"""UpCloud's permission calls: what accounts were permitted, listed, granted and taken back.

Rule of this file: they are kept and told again, and give nobody any right (manage/targets).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from latchgate.manage import accounts, targets
from latchgate.manage.actor import Caller
from latchgate.store.journal import Store

_Text = Annotated[str, msgspec.Meta(max_length=targets.MAX_IDENTIFIER)]


class Options(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Whether the storages of a server, or of a tag's servers, go with it."""

    storage: Literal["yes", "no"]


class Permission(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """That an account may use a target; `*` stands for every one of its type."""

    user: _Text
    target_type: _Text
    target_identifier: _Text
    options: Options | None = None


def listed(store: Store, caller: Caller) -> list[Permission]:
    """Return the permissions of every account of the tenant; of a subaccount's only its own."""
    with store.reading() as connection:
        mine = accounts.self_of(connection, caller)
        rows = [mine]
        if mine["sort"] == "main":
            rows = accounts.accounts(connection, caller.tenant_id)
        return [
            Permission(
                row["username"],
                sort,
                identifier,
                msgspec.convert(options, Options) if options else None,
            )
            for row in rows
            for sort, held in targets.targets_of(connection, row["id"]).items()
            for identifier, options in held.items()
        ]


def grant(store: Store, caller: Caller, told: Permission) -> None:
    """Keep a permission; the same again is no change.

    InvalidError names the field; NotFoundError for no account, NotMainError for a subaccount.
    """
    targets.check(told.target_type, told.target_identifier)
    with store.change(caller.actor) as change:
        accounts.check_main(change.connection, caller)
        row = accounts.named(change.connection, caller.tenant_id, told.user)
        target = (told.target_type, told.target_identifier)
        options = {"storage": told.options.storage} if told.options is not None else {}
        targets.grant(change, caller, row["id"], target, options)


def revoke(store: Store, caller: Caller, told: Permission) -> None:
    """Take a permission back; raises as `grant` does, and NotFoundError where there is none."""
    targets.check(told.target_type, told.target_identifier)
    with store.change(caller.actor) as change:
        accounts.check_main(change.connection, caller)
        row = accounts.named(change.connection, caller.tenant_id, told.user)
        targets.revoke(change, caller, row["id"], (told.target_type, told.target_identifier))
