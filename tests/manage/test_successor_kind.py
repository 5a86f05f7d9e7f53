"""A key that another system made is succeeded by one of ours, where it is taken in its place."""

from __future__ import annotations

import secrets
import time
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from tests.world import FILES, World, asking, chain_faults, compiled

from latchgate.core.reason import Reason
from latchgate.core.secret import BASE62
from latchgate.manage import keys
from latchgate.manage.import_lines import ImportLine, made_line
from latchgate.manage.imports import Defaults, Importer
from latchgate.manage.rotation import Asked, rotate
from latchgate.manage.rotation_terms import WEEK, RotationSpec
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Actor

DAY = 86_400.0
NATIVE = '[kinds.service_key]\nbrand = "acme"\ncross_service = "all"'
ACME = """
provider = "acme"
title = "Acme"
dialect = "problem"

[kinds.imported_key]
pattern = "ak_live_[0-9A-Za-z]{24,64}"
headers = ["Authorization", "X-Acme-Key"]

%s

[services.acme]
title = "Acme"

[services.acme.scopes]
"acme:read" = "Read"
"acme:write" = "Write"

[services.mail]
title = "Mail"

[services.mail.scopes]
"mail:send" = "Send"

[[areas]]
path = "/acme"
service = "acme"
accepts = ["imported_key"%s]
rules = [{ methods = ["GET"], scope = "acme:read" }, { methods = ["*"], scope = "acme:write" }]

[[areas]]
path = "/mail"
service = "mail"
accepts = ["imported_key", "service_key"]
rules = [{ methods = ["*"], scope = "mail:send" }]
"""
BOTH = ACME % (NATIVE, ', "service_key"')


@pytest.fixture
def clock():
    return SimpleNamespace(now=time.time())


@pytest.fixture
def world(tmp_path, clock):
    made = World(tmp_path, clock=lambda: clock.now)
    made.publish({**FILES, "acme.toml": BOTH})
    yield made
    made.close()


def brought_in(world, **line):
    """Import a key; returns its text and its id."""
    text = "ak_live_" + "".join(secrets.choice(BASE62) for _ in range(40))
    told = {"kind": "acme.imported_key", "secret": text, "scopes": ["acme:read"], **line}
    Importer(
        world.store,
        world.engine().policy,
        Actor(name="local:test", tenant_id=None),
        world.owner.tenant_id,
        defaults=Defaults(line=ImportLine(owner=world.owner.user_id)),
        entropy=secrets.token_bytes,
    ).take([(1, made_line(told))], now=world.clock())
    table = schema.credential
    wanted = sa.select(table.c.id).where(table.c.kind == "acme.imported_key")
    return text, world.one(wanted).id


def turned(world, record, policy, **spec):
    caller = world.acting(world.admin)
    asked = Asked(record, RotationSpec(**spec), world.clock())
    return rotate(
        world.store, policy, caller, asked, rows=keys.rows(caller), entropy=secrets.token_bytes
    )


def decide(world, text, *, target="/acme/a", method="GET"):
    headers = {"authorization": f"Bearer {text}"}
    return world.engine().decide(asking(headers=headers, target=target, method=method))


def test_an_imported_key_is_succeeded_by_a_service_key_that_opens_the_same_and_no_more(
    world, clock
):
    networks = ["192.0.2.0/24", "203.0.113.0/24"]
    text, record = brought_in(world, name="theirs", networks=networks, external_id="crm/7")
    policy = world.engine().policy
    rotated, issued, _ = turned(world, record, policy)
    new = issued.secret.reveal()
    assert new.startswith(f"acme_acme_{rotated.successor.id}_")
    rows = world.all(sa.select(schema.credential).where(schema.credential.c.name == "theirs"))
    after, before = sorted(rows, key=lambda row: row.kind, reverse=True)
    assert (before.kind, after.kind) == ("acme.imported_key", "acme.service_key")
    for column in ("tenant_id", "project_id", "owner_id", "services", "scopes", "networks"):
        assert getattr(after, column) == getattr(before, column), column
    assert (after.external_id, after.issues) == (before.external_id, before.issues)
    assert (before.superseded_by, after.predecessor_id) == (after.id, before.id)
    assert [row.action for row in world.journal()[-2:]] == ["key.create", "key.rotate"]
    assert chain_faults(world.database) == []
    for secret in (text, new):
        assert decide(world, secret).allowed
        assert not decide(world, secret, method="PUT").allowed
        assert not decide(world, secret, target="/mail/a").allowed
    clock.now = rotated.ends_at
    assert rotated.ends_at == rotated.superseded_at + WEEK
    assert decide(world, text).reason is Reason.CREDENTIAL_SUPERSEDED
    assert decide(world, new).allowed


def test_without_a_grace_the_foreign_key_ends_at_once(world):
    text, record = brought_in(world)
    _, issued, _ = turned(world, record, world.engine().policy, grace="0")
    assert decide(world, text).reason is Reason.CREDENTIAL_SUPERSEDED
    assert decide(world, issued.secret.reveal()).allowed


def test_a_key_for_several_services_is_succeeded_by_one_across_services(world):
    text, record = brought_in(world, scopes=["acme:read", "mail:send"])
    rotated, issued, _ = turned(world, record, world.engine().policy)
    new = issued.secret.reveal()
    assert new.startswith(f"acme_all_{rotated.successor.id}_")
    for secret in (text, new):
        assert decide(world, secret).allowed
        assert decide(world, secret, target="/mail/a", method="POST").allowed


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        (BOTH.replace(NATIVE, "").replace(', "service_key"', ""), r"Add \[kinds.service_key\]"),
        (ACME % (NATIVE, ""), "The area /acme takes acme.imported_key and not acme.service_key"),
    ],
)
def test_where_no_native_key_is_taken_in_its_place_nothing_changes(world, policy, why):
    text, record = brought_in(world)
    before = world.head()
    with pytest.raises(ConflictError, match=why):
        turned(world, record, compiled({**FILES, "acme.toml": policy}, 2))
    assert world.head() == before
    assert decide(world, text).allowed


def test_the_successor_is_of_a_kind_that_has_a_longest_life(world, clock):
    table = schema.lifetime
    row = {"kind": "acme.service_key", "tenant_id": world.owner.tenant_id, "version": 1}
    row |= {"id": f"{world.owner.tenant_id}:acme.service_key", "maximum_life": 30 * DAY}
    with world.changing() as change:
        change.execute(sa.insert(table).values(row))
    _, record = brought_in(world)
    rotated, _, _ = turned(world, record, world.engine().policy)
    assert rotated.successor.expires_at == pytest.approx(clock.now + 30 * DAY)
