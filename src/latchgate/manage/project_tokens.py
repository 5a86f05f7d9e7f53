"""Project tokens that are deleted before they end. No token is kept, so that it was deleted is.

Rule of this file: what was deleted stays deleted until it would have ended. It is noted with what
the token was minted from, as a short list; where that gets too long, every token minted before now
is deleted instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.core.model import Credential, Noun
from latchgate.manage.actor import Caller
from latchgate.manage.errors import NotFoundError
from latchgate.store import schema
from latchgate.store.journal import Change, Store, stored

MAX_DENIED = 1_000


def delete(store: Store, caller: Caller, token: Credential) -> int:
    """Delete a token (a minted credential) at once; returns the journal number.

    A repeated one has its receipt waited for again. NotFoundError when what it was minted from is
    gone.
    """
    table = schema.credential
    shown = (table.c.id, table.c.tenant_id, table.c.denied_tokens)
    with store.change(caller.actor) as change:
        found = change.execute(sa.select(*shown).where(table.c.id == token.parent_id))
        source = found.mappings().one_or_none()
        if source is None or token.expires_at is None:
            msg = f"there is no token {token.id[:64]!r}"
            raise NotFoundError(msg)
        before = stored(source)
        denied: dict[str, float] = before["denied_tokens"] or {}
        if token.id in denied:
            head: int = change.execute(sa.select(schema.journal_head.c.n)).scalar_one()
            return head
        return deny(change, before, token.id, token.expires_at)


def deny(
    change: Change,
    before: Mapping[str, Any],
    token_id: str,
    expires_at: float,
    *,
    action: str = "project_token.delete",
) -> int:
    """Add a token to those deleted of what it was minted from (`before`); returns the number.

    `before` has `id`, `tenant_id` and `denied_tokens`, as stored; `action` is what the journal
    calls it.
    """
    table = schema.credential
    denied: dict[str, float] = before["denied_tokens"] or {}
    live = {name: until for name, until in denied.items() if until > change.at}
    told: dict[str, Any] = {"token": token_id, "expires_at": expires_at}
    values: dict[str, Any] = {"denied_tokens": {**live, token_id: expires_at}}
    if len(live) >= MAX_DENIED:
        values = {"denied_tokens": {}, "tokens_after": change.at}
        told["tokens_after"] = change.at
    # Of the list only what was added is noted: the rest is in the rows before.
    n = change.note(
        action,
        Noun.CREDENTIAL,
        before["id"],
        tenant_id=before["tenant_id"],
        detail={"after": told},
    )
    values["denied_tokens"] = msgspec.json.encode(values["denied_tokens"]).decode()
    changed = sa.update(table).where(table.c.id == before["id"])
    change.execute(changed.values(**values, version=n))
    return n
