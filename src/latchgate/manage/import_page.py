"""A page of an import that comes through the management API, from one operator for any tenant.

Rule of this file: nobody imports what opens more than they hold themselves (ATTACKS D5.38), nor for
themselves what lives longer or comes from elsewhere than what they came with (D5.41).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec

from latchgate.core.policy import Policy
from latchgate.manage.actor import Caller
from latchgate.manage.errors import ForbiddenError, InvalidError
from latchgate.manage.gate import sourced
from latchgate.manage.import_formats import FORMATS, KINDS, FormatError
from latchgate.manage.import_lines import ImportLine
from latchgate.manage.imports import Bounds, Defaults, Importer, Outcome
from latchgate.manage.keys import Name
from latchgate.store.journal import Store

MAX_LINES = 1_000
# Each costs an argon2id, a tenth of a second of a processor.
MAX_SLOW = 20
_Short = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class ImportPage(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Some lines to import, at most 1,000 and 1 MiB together.

    A line is an object, or the text that it is in a file of `format`; `columns` renames its fields
    to ours, `defaults` is true of every line that does not say otherwise. `tenant` is an id, the
    caller's own unless given. `create_users` makes owners that are not there yet, with the role
    `user_role`. With `dry_run` everything is judged and nothing is changed.
    """

    lines: Annotated[list[dict[str, Any] | str], msgspec.Meta(min_length=1, max_length=MAX_LINES)]
    format: Literal["jsonl", "csv", "htpasswd", "keystone"] = "jsonl"
    tenant: _Short | None = None
    defaults: ImportLine = ImportLine()
    columns: Annotated[dict[Name, Name], msgspec.Meta(max_length=64)] = {}
    create_users: bool = False
    user_role: _Short | None = None
    dry_run: bool = False

    def __repr__(self) -> str:
        return f"ImportPage({self.format}, {len(self.lines)} lines)"


def import_page(
    store: Store,
    policy: Policy,
    caller: Caller,
    page: ImportPage,
    *,
    entropy: Callable[[int], bytes],
    now: float,
) -> Outcome:
    """Import what can be of a page, in one transaction; at most 20 of its hashes may be weak ones.

    ForbiddenError when the caller's credential may not make others, InvalidError when nothing can
    be imported for the tenant, or the page as a whole can't be read.
    """
    maker = caller.credential
    if not maker.issues:
        raise ForbiddenError("the credential you came with may not make others")
    with store.reading() as connection:
        maker = sourced(connection, caller).credential
    limits = (maker.expires_at, maker.networks, caller.owner.networks)
    bounded = any(limit is not None for limit in limits)
    told = page.defaults
    if told.kind is None and page.format in KINDS:
        told = msgspec.structs.replace(told, kind=KINDS[page.format])
    importer = Importer(
        store,
        policy,
        caller.actor,
        page.tenant if page.tenant is not None else caller.tenant_id,
        defaults=Defaults(told, create_users=page.create_users, user_role=page.user_role),
        entropy=entropy,
        bounds=Bounds(caller.rights, caller.owner.id if bounded else None, MAX_SLOW),
        dry_run=page.dry_run,
    )
    texts = [
        one if isinstance(one, str) else msgspec.json.encode(one).decode() for one in page.lines
    ]
    try:
        lines = list(FORMATS[page.format](texts, page.columns))
    except FormatError as error:
        raise InvalidError([("lines", str(error))]) from None
    return importer.take(lines, now=now)
