"""Leaks: what proves one, what is done then, and what is told to whom."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from dataclasses import replace

import msgspec
import pytest
import sqlalchemy as sa
from tests.world import compiled

from latchgate.core.kinds import ImportedKey
from latchgate.core.kinds.spec import Spec
from latchgate.core.scope import NONE
from latchgate.manage import leak_rules, leaks
from latchgate.manage.actor import Caller
from latchgate.manage.applications import new_token, token_digest
from latchgate.manage.import_lines import ImportLine
from latchgate.manage.imports import Defaults, Importer
from latchgate.manage.leak_rules import LeakRuleSpec
from latchgate.manage.leaks import LeakedToken, LeakLookup
from latchgate.manage.listing import Query
from latchgate.store import schema
from latchgate.store.journal import Actor

POLICY = compiled({}, 1)
PARTNER = Actor(name="partner:github", tenant_id=None)
KIND = "wayscloud.service_key"


@pytest.fixture
def policy(world):
    return world.engine().policy


def told_of(world, policy, text, *, actor=PARTNER, url="https://example.com/a", source="log"):
    return leaks.report(
        world.store,
        policy,
        actor,
        LeakedToken(text, url, source),
        redact=lambda text: text,
        entropy=secrets.token_bytes,
    )


def stored(world, key_id):
    table = schema.credential
    return world.one(sa.select(table).where(table.c.id == key_id))


def actions(world):
    return [row.action for row in world.journal()][-2:]


def count(world, table):
    return world.one(sa.select(sa.func.count()).select_from(table))[0]


def test_a_whole_secret_is_revoked_recorded_and_told_of(world, policy):
    key = world.key()
    leak, n = told_of(world, policy, key.text)
    row = stored(world, key.id)
    assert row.revoked_at is not None
    assert (leak.record, leak.kind, leak.action, leak.reporter) == (
        key.id,
        KIND,
        "revoke",
        "partner:github",
    )
    assert actions(world) == ["credential.leaked", "key.revoke"]
    assert world.head() == n == row.version
    note = world.one(sa.select(schema.notification))
    assert (note.event, note.record, note.tenant_id) == (
        "credential.leaked",
        key.id,
        row.tenant_id,
    )
    assert key.text not in json.dumps([tuple(map(str, one)) for one in world.journal()])
    assert key.text.rpartition("_")[2] not in note.data


def test_the_same_report_twice_is_one_leak_and_another_place_another(world, policy):
    key = world.key()
    first, n = told_of(world, policy, key.text)
    again, later = told_of(world, policy, key.text)
    assert (again, later, count(world, schema.leak)) == (first, n, 1)
    other, _ = told_of(world, policy, key.text, url="https://example.com/b")
    assert (other.action, count(world, schema.leak)) == ("none", 2)
    assert other.id != first.id


def test_an_id_or_a_part_of_a_secret_proves_nothing(world, policy):
    key = world.key()
    head = world.head()
    half = key.text[:-1] + ("0" if key.text[-1] != "0" else "1")
    for text in (key.id, f"wayscloud_storage_{key.id}_", key.text[:-1], half, "x" * 8_192):
        leak, n = told_of(world, policy, text)
        assert (leak, n) == (None, head)
    assert stored(world, key.id).revoked_at is None
    assert count(world, schema.leak) == 0


def test_a_tenant_may_choose_to_be_told_only(world, policy):
    key = world.key()
    owner = world.acting(key)
    rule = leak_rules.set_rule(world.store, policy, owner, "*", LeakRuleSpec("notify"))
    assert (rule.kind, rule.action) == ("*", "notify")
    leak, _ = told_of(world, policy, key.text)
    assert leak.action == "notify"
    assert stored(world, key.id).revoked_at is None
    # The rule of the kind goes before that of every other; what stands still is then revoked.
    leak_rules.set_rule(world.store, policy, owner, KIND, LeakRuleSpec("revoke"))
    told_of(world, policy, key.text)
    assert stored(world, key.id).revoked_at is not None
    assert count(world, schema.leak) == 1
    assert [(one.kind, one.action) for one in leak_rules.rules(world.store, owner)] == [
        ("*", "notify"),
        (KIND, "revoke"),
    ]


def test_an_expired_one_is_recorded_and_nothing_is_done(world, policy):
    key = world.key()
    table = schema.credential
    with world.changing() as change:
        change.execute(
            sa.update(table).where(table.c.id == key.id).values(expires_at=time.time() - 1)
        )
    leak, _ = told_of(world, policy, key.text)
    assert leak.action == "none"
    assert stored(world, key.id).revoked_at is None


def test_an_application_key_only_ever_tells_the_operator(world, policy):
    kind = policy.issued("teracloud.application_key")
    issued = kind.issue(Spec(""), secrets.token_bytes(16))
    now = time.time()
    application = {
        "id": "app-x",
        "name": "Sync",
        "vendor": "v",
        "contact": "c@example.com",
        "purpose": "p",
        "developer": "individual",
        "state": "approved",
        "reason": "",
        "owner_digest": b"-",
        "created_at": now,
        "version": 0,
    }
    row = {"id": issued.id, "kind": kind.name, "application_id": "app-x", "digest": issued.digest}
    with world.changing() as change:
        change.execute(sa.insert(schema.application).values(**application))
        change.execute(
            sa.insert(schema.application_key).values(**row, created_at=now, created_by="x")
        )
    leak, _ = told_of(world, policy, issued.secret.reveal())
    assert (leak.action, leak.noun, leak.tenant_id) == ("notify", "application_key", None)
    assert world.one(sa.select(schema.application_key)).revoked_at is None
    assert world.one(sa.select(schema.notification)).tenant_id is None


def test_where_it_was_found_is_kept_without_what_may_be_secret(world, policy):
    key = world.key()
    leak, _ = told_of(
        world, policy, key.text, url="https://ada:pw@ex.com:8443/a/b?token=1#f", source=""
    )
    assert (leak.url, leak.source) == ("https://ex.com:8443/a/b", "unknown")
    for url in ("javascript:alert(1)", "http://[::1", "not a url", "https://x:99999999/"):
        leak, _ = told_of(world, policy, key.text, url=url)
        assert leak.url == ""
    leak, _ = told_of(world, policy, key.text, url="https://ex.com/" + "a" * 2_000)
    assert len(leak.url) == 500


def test_only_the_own_tenants_leaks_and_digests_are_shown(world, policy):
    theirs = world.key(owner=world.somebody("*", tenant_id=world.tenant()))
    mine = world.key()
    for key in (theirs, mine):
        told_of(world, policy, key.text)
    everybody = world.acting(mine)
    owner = Caller(msgspec.structs.replace(everybody.grant, rights=NONE), None)
    listed, following = leaks.listed(world.store, owner, Query(), now=time.time())
    assert ([one.record for one in listed], following) == ([mine.id], None)
    every, _ = leaks.listed(world.store, everybody, Query(), now=time.time())
    assert {one.record for one in every} == {mine.id, theirs.id}
    digests = [
        {"kind": KIND, "digest": stored(world, key.id).digest.hex()} for key in (theirs, mine)
    ]
    asked = msgspec.convert({"digests": [*digests, {"kind": "x", "digest": "00" * 32}]}, LeakLookup)
    found = leaks.known(world.store, owner, asked, now=time.time())
    assert [(one.credential_id, one.state) for one in found] == [(mine.id, "revoked")]
    assert len(leaks.known(world.store, everybody, asked, now=time.time())) == 2


def test_a_developers_token_is_told_of(world, policy):
    token = new_token(secrets.token_bytes).reveal()
    names = ("id", "name", "vendor", "contact", "purpose", "developer", "state", "reason")
    row = dict.fromkeys(names, "x")
    with world.changing() as change:
        change.execute(
            sa.insert(schema.application).values(
                **row, owner_digest=token_digest(token), created_at=0.0, version=0
            )
        )
    leak, _ = told_of(world, policy, token)
    assert (leak.action, leak.noun, leak.record) == ("notify", "application", "x")


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_key_whose_hash_alone_was_imported_is_proven_by_its_text(world, policy, algorithm):
    text = f"wayscloud_storage_{secrets.token_hex(6)}_{secrets.token_hex(20)}"
    key_id = text.split("_")[2]
    line = ImportLine(
        kind=KIND,
        id=key_id,
        hash=hashlib.new(algorithm, text.encode()).hexdigest(),
        owner=world.owner.user_id,
        services=("storage",),
    )
    importer = Importer(
        world.store,
        policy,
        PARTNER,
        world.owner.tenant_id,
        defaults=Defaults(),
        entropy=secrets.token_bytes,
    )
    assert importer.take([(1, line)], now=time.time()).imported == 1
    other = f"wayscloud_storage_{key_id}_{secrets.token_hex(20)}"
    assert told_of(world, policy, other)[0] is None
    assert stored(world, key_id).revoked_at is None
    leak, _ = told_of(world, policy, text)
    assert (leak.record, leak.action) == (key_id, "revoke")
    assert stored(world, key_id).revoked_at is not None


@pytest.mark.parametrize("pattern", ["ak_[0-9A-Za-z]{40}", "[0-9A-Za-z]{40}"])
def test_an_imported_key_of_any_shape_is_proven(world, policy, pattern):
    kind = ImportedKey.configured("acme.imported_key", {"pattern": pattern, "hash": "sha256"})
    text = ("ak_" if pattern.startswith("ak_") else "") + secrets.token_hex(20)
    made, own = kind.of_text(text), world.key()
    with world.changing() as change:
        table = schema.credential
        row = {"id": made.credential_id, "digest": made.digest, "kind": kind.name}
        change.execute(sa.update(table).where(table.c.id == own.id).values(row))
    known = replace(policy, kinds={**policy.kinds, kind.name: kind})
    assert told_of(world, known, text[::-1])[0] is None
    leak, _ = told_of(world, known, text)
    assert (leak.record, leak.action) == (made.credential_id, "revoke")
