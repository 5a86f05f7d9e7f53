"""Leaks: what proves one, what is done then, and what is told to whom."""

from __future__ import annotations

import json
import secrets
import time

import msgspec
import pytest
import sqlalchemy as sa
from tests.world import compiled

from latchgate.core.kinds.spec import Spec
from latchgate.core.scope import NONE
from latchgate.manage import leak_rules, leaks
from latchgate.manage.actor import Caller
from latchgate.manage.applications import new_token, token_digest
from latchgate.manage.keys import rows
from latchgate.manage.leak_rules import LeakRuleSpec
from latchgate.manage.leaks import LeakedToken, LeakLookup
from latchgate.manage.listing import Query
from latchgate.manage.records import IfMatch
from latchgate.manage.rotation import Asked, rotate
from latchgate.manage.rotation_terms import RotationSpec
from latchgate.store import schema
from latchgate.store.journal import Actor

pytestmark = pytest.mark.both_databases

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


def test_a_thousand_digests_cost_as_many_statements_as_one(world):
    key = world.key()
    held = stored(world, key.id).digest.hex()
    digests = [held, *(f"{at:064x}" for at in range(999))]
    asked = msgspec.convert({"digests": [{"kind": KIND, "digest": d} for d in digests]}, LeakLookup)
    sent = []

    def count(_connection, _cursor, statement, *_):
        sent.append(statement)

    with world.store.reading():
        pass  # its connections are made
    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    try:
        (found,) = leaks.known(world.store, world.acting(key), asked, now=time.time())
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", count)
    assert found.credential_id == key.id
    assert len(sent) <= 3


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


def test_the_rule_that_counts_is_that_of_the_tenant_whose_key_it_is(world, policy):
    theirs = world.key(owner=world.somebody("*", tenant_id=world.tenant()))
    mine, reporter = world.key(), world.acting(world.key())
    leak_rules.set_rule(world.store, policy, world.acting(theirs), "*", LeakRuleSpec("notify"))
    for key, action in ((theirs, "notify"), (mine, "revoke")):
        leak, _ = told_of(world, policy, key.text, actor=reporter.actor)
        assert (leak.action, leak.tenant_id) == (action, key.owner.tenant_id)
        assert (stored(world, key.id).revoked_at is None) is (action == "notify")


def test_a_rotated_secret_is_revoked_in_its_grace_and_its_successor_stands(world, policy):
    key = world.key()
    owner = world.acting(key)
    asked = Asked(key.id, RotationSpec(grace="7d"), time.time(), None, IfMatch(None))
    found, issued, _ = rotate(
        world.store, policy, owner, asked, rows=rows(owner), entropy=secrets.token_bytes
    )
    assert issued is not None
    leak, _ = told_of(world, policy, key.text)
    assert (leak.record, leak.action) == (key.id, "revoke")
    assert stored(world, key.id).revoked_at is not None
    assert stored(world, issued.id).revoked_at is None
    # And the new one is as good a proof as the old one.
    again, _ = told_of(world, policy, issued.secret.reveal())
    assert (again.record, again.action) == (found.successor.id, "revoke")


def test_one_whose_grace_is_over_and_one_that_is_disabled(world, policy):
    over, disabled = world.key(), world.key()
    table, now = schema.credential, time.time()
    ended = {"superseded_by": disabled.id, "superseded_at": now - 9, "expires_at": now - 1}
    with world.changing() as change:
        change.execute(sa.update(table).where(table.c.id == over.id).values(ended))
        change.execute(sa.update(table).where(table.c.id == disabled.id).values(disabled_at=now))
    assert told_of(world, policy, over.text)[0].action == "none"
    # Whoever disabled it may enable it again.
    assert told_of(world, policy, disabled.text)[0].action == "revoke"
    assert stored(world, disabled.id).revoked_at is not None
