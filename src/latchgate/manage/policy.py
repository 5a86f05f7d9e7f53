"""The published policy: check files, publish them as the next version."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.core.policy_file import with_built_in
from latchgate.store import schema
from latchgate.store.journal import Actor, Change, Store

_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(dict[str, str]).decode


def published(store: Store) -> tuple[int, float, dict[str, str]]:
    """Return the newest version, when it was published, and its files; version 0 for none."""
    table = schema.policy_version
    newest = sa.select(table).order_by(table.c.version.desc()).limit(1)
    with store.reading() as connection:
        row = connection.execute(newest).mappings().one_or_none()
    return (row["version"], row["at"], _decode(row["files"])) if row is not None else (0, 0.0, {})


def apply(store: Store, actor: Actor, files: Mapping[str, str], built_in: str) -> tuple[int, int]:
    """Publish files as the next version; returns it and the journal number.

    PolicyError when they make no policy; what was published before stays in force.
    """
    with_built_in(files, built_in, version=0)
    with store.change(actor) as change:
        return publish(change, files)


def publish(change: Change, files: Mapping[str, str]) -> tuple[int, int]:
    """Write checked files as the next version inside a change."""
    table = schema.policy_version
    newest = change.execute(sa.select(sa.func.max(table.c.version))).scalar_one()
    version = (newest or 0) + 1
    change.execute(
        sa.insert(table).values(
            version=version,
            at=change.at,
            actor=change.actor.name,
            files=_encode(dict(files)).decode(),
        )
    )
    n = change.note(
        "policy.apply",
        Noun.POLICY,
        str(version),
        tenant_id=None,
        detail={"version": version, "files": sorted(files)},
    )
    return version, n
