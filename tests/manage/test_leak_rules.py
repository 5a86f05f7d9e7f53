"""Rules for leaks: a tenant's own, by kind, each change noted once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from latchgate.core.kinds import ImportedKey
from latchgate.manage import leak_rules
from latchgate.manage.errors import InvalidError
from latchgate.manage.leak_rules import LeakRuleSpec

pytestmark = pytest.mark.both_databases

KIND = "wayscloud.service_key"


@pytest.fixture
def policy(world):
    return world.engine().policy


def test_a_rule_set_twice_is_noted_once_and_changed_once(world, policy):
    owner = world.acting(world.key())
    first = leak_rules.set_rule(world.store, policy, owner, KIND, LeakRuleSpec("notify"))
    head = world.head()
    assert leak_rules.set_rule(world.store, policy, owner, KIND, LeakRuleSpec("notify")) == first
    assert world.head() == head
    second = leak_rules.set_rule(world.store, policy, owner, KIND, LeakRuleSpec("revoke"))
    assert (second.action, second.version) == ("revoke", head + 1)
    rows = [(row.action, row.noun) for row in world.journal()][-2:]
    assert rows == [("leak_rule.create", "leak_rule"), ("leak_rule.change", "leak_rule")]


def test_a_rule_is_the_tenants_own(world, policy):
    mine = world.acting(world.key())
    theirs = world.acting(world.key(owner=world.somebody("*", tenant_id=world.tenant())))
    leak_rules.set_rule(world.store, policy, mine, "*", LeakRuleSpec("notify"))
    assert [one.kind for one in leak_rules.rules(world.store, mine)] == ["*"]
    assert leak_rules.rules(world.store, theirs) == []


@pytest.mark.parametrize(
    "kind", ["", "nothing", "teracloud.application_key", "upcloud.account_password", "**"]
)
def test_a_rule_needs_a_kind_that_leaks_and_can_be_revoked(world, policy, kind):
    owner = world.acting(world.key())
    with pytest.raises(InvalidError, match="kind: must be"):
        leak_rules.set_rule(world.store, policy, owner, kind, LeakRuleSpec("notify"))


def test_an_imported_key_that_begins_with_nothing_has_a_rule_too(world, policy):
    told = {"pattern": "[0-9a-f]{40}"}
    kind = ImportedKey.configured("acme.imported_key", told)
    assert kind.leak is None
    known = replace(policy, kinds={**policy.kinds, kind.name: kind})
    owner = world.acting(world.key())
    rule = leak_rules.set_rule(world.store, known, owner, kind.name, LeakRuleSpec("notify"))
    assert (rule.kind, rule.action) == (kind.name, "notify")
