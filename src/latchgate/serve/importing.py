"""Imports on the machine itself, straight into the database, while the server runs or not."""

from __future__ import annotations

import gc
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from itertools import chain, islice

import sqlalchemy as sa

from latchgate import providers
from latchgate.config import Config
from latchgate.core.policy import Policy
from latchgate.core.policy_file import with_built_in
from latchgate.manage.errors import NotFoundError
from latchgate.manage.import_judged import Judge, Judged, Numbered
from latchgate.manage.imports import Defaults, Importer, Outcome
from latchgate.manage.policy import published
from latchgate.serve.ahead import AheadError, ahead
from latchgate.store import found, schema
from latchgate.store.errors import StoreError
from latchgate.store.journal import Actor, Store

# Ids are random: of an index of millions each transaction writes most pages, so few are better.
BATCH = 20_000
# Weak hashes take a tenth of a second each: what was done is kept, and told, every half minute.
WEAK = 250
_FORKS = sys.platform == "linux"


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
    """Import lines in transactions of 20,000; `on_batch` is told the lines and outcome of each.

    `tenant` is an id or a name, None where there is one alone. On Linux another process reads and
    judges the lines that follow while these are written. NotFoundError when the tenant is not
    there, InvalidError when it is suspended, PolicyError when what is published can't be used,
    StoreError.
    """
    found.check(config.database)
    policy, tenant_id = _published(config, tenant)
    judged = _batches(Judge(policy, defaults.line), lines)
    total = Outcome()
    # Nothing here makes cycles: looking for them in thousands of rows is work for nothing.
    gc.disable()
    try:
        first = list(islice(judged, 1))
        with ExitStack() as held:
            following = judged
            if _FORKS and first and first[0].lines == BATCH:
                # Before the database is opened: its connections may not go to another process.
                following = held.enter_context(ahead(judged))
            store = Store(config.database, clock=time.time)
            held.callback(store.close)
            importer = Importer(
                store,
                policy,
                Actor(name=f"local:{who}", tenant_id=None),
                tenant_id,
                defaults=defaults,
                entropy=secrets.token_bytes,
                dry_run=dry_run,
            )
            for some in chain(first, following):
                count = some.lines
                outcome = importer.enter(some, now=time.time())
                total.add(outcome)
                on_batch(count, outcome)
    except AheadError as error:
        raise StoreError(str(error)) from error
    finally:
        gc.enable()
    return total


def _batches(judge: Judge, lines: Iterable[Numbered]) -> Iterator[Judged]:
    judged = Judged()
    for number, told in lines:
        judge.judge_one(number, told, judged, now=time.time())
        if judged.lines == BATCH or judged.weak == WEAK:
            yield judged
            judged = Judged()
    if judged.lines:
        yield judged


def _published(config: Config, tenant: str | None) -> tuple[Policy, str]:
    """Return the policy that decides now, and the id of the tenant that is meant."""
    with closing(Store(config.database, clock=time.time)) as store:
        version, _, files = published(store)
        tenant_id = _tenant(store, tenant)
    return with_built_in(files, providers.text(providers.BUILT_IN), version=version), tenant_id


def _tenant(store: Store, wanted: str | None) -> str:
    table = schema.tenant
    with store.reading() as connection:
        rows = connection.execute(sa.select(table.c.id, table.c.name)).all()
    meant = [row.id for row in rows if wanted in {None, row.id}]
    meant = meant or [row.id for row in rows if wanted == row.name]
    if len(meant) == 1:
        tenant_id: str = meant[0]
        return tenant_id
    if wanted is None:
        raise NotFoundError(f"there are {len(rows)} tenants; say which with --tenant")
    raise NotFoundError(f"there is no tenant {wanted!r}")
