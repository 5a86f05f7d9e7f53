"""Imports on the machine itself, straight into the database, while the server runs or not."""

from __future__ import annotations

import gc
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import islice

import sqlalchemy as sa

from latchgate import providers
from latchgate.config import Config
from latchgate.core.policy_file import with_built_in
from latchgate.manage.errors import NotFoundError
from latchgate.manage.imports import BATCH, Defaults, Importer, Numbered, Outcome
from latchgate.manage.policy import published
from latchgate.store import schema
from latchgate.store.journal import Actor, Store
from latchgate.store.reads import SCHEMA_HEAD, check_schema
from latchgate.store.sqlite import connect


def import_lines(
    config: Config,
    lines: Iterable[Numbered],
    *,
    tenant: str | None,
    who: str,
    defaults: Defaults,
    dry_run: bool,
    on_batch: Callable[[int, Outcome], None],
) -> Outcome:
    """Import lines in transactions of 5,000; `on_batch` is told the lines and outcome of each.

    `tenant` is an id or a name, None where there is one alone. NotFoundError when it is not there,
    InvalidError when it is suspended, PolicyError when what is published can't be used, StoreError.
    """
    with closing(connect(config.database, durable=True, read_only=True)) as connection:
        check_schema(connection, SCHEMA_HEAD)
    store = Store(config.database, clock=time.time)
    total = Outcome()
    try:
        version, _, files = published(store)
        policy = with_built_in(files, providers.text(providers.BUILT_IN), version=version)
        importer = Importer(
            store,
            policy,
            Actor(name=f"local:{who}", tenant_id=None),
            _tenant(store, tenant),
            defaults=defaults,
            entropy=secrets.token_bytes,
            dry_run=dry_run,
        )
        # Nothing here makes cycles: looking for them in thousands of rows is work for nothing.
        gc.disable()
        following = iter(lines)
        while batch := list(islice(following, BATCH)):
            outcome = importer.take(batch, now=time.time())
            total.add(outcome)
            on_batch(len(batch), outcome)
    finally:
        gc.enable()
        store.close()
    return total


def _tenant(store: Store, wanted: str | None) -> str:
    table = schema.tenant
    with store.reading() as connection:
        rows = connection.execute(sa.select(table.c.id, table.c.name)).all()
    found = [row.id for row in rows if wanted in {None, row.id}]
    found = found or [row.id for row in rows if wanted == row.name]
    if len(found) == 1:
        tenant_id: str = found[0]
        return tenant_id
    if wanted is None:
        raise NotFoundError(f"there are {len(rows)} tenants; say which with --tenant")
    raise NotFoundError(f"there is no tenant {wanted!r}")
