"""The promise holds in every state of every world, and in no world without its rule."""

from __future__ import annotations

import re

import pytest
from tests.docs.transcript import ROOT
from tests.model.rules import RULES
from tests.model.run import missing, run, run_without, told
from tests.model.worlds import WORLDS

LIMIT = 60_000
HELD_ALONE = [rule for rule in RULES.values() if not rule.spare]
HELD_TWICE = [rule for rule in RULES.values() if rule.spare]


@pytest.mark.parametrize("name", WORLDS)
def test_the_promise_holds_in_every_state(name):
    found = run(WORLDS[name], limit=LIMIT)

    assert not found.fault, "\n".join(told(found))
    assert missing(WORLDS[name], found) == []


@pytest.mark.parametrize("rule", HELD_ALONE, ids=lambda rule: rule.name)
def test_without_any_one_rule_a_schedule_breaks_the_promise(rule):
    found = run_without(rule, limit=LIMIT)

    assert found.fault, f"{rule.name} {rule.says}: its world is right without it"
    assert told(found)[-1].endswith(found.fault)


@pytest.mark.parametrize("rule", HELD_TWICE, ids=lambda rule: rule.name)
def test_what_other_rules_hold_too_is_called_spare(rule):
    assert not run_without(rule, limit=LIMIT).fault
    assert {name.strip() for name in rule.spare.split(",")} <= set(RULES)


def test_every_world_shows_a_rule():
    assert {rule.world for rule in RULES.values()} == set(WORLDS)


def test_the_page_tells_a_schedule_as_the_model_does():
    page = (ROOT / "docs/explanation/promise.md").read_text(encoding="utf-8")
    lines = told(run_without(RULES["3b"], limit=LIMIT))

    assert "\n".join(f"    {line}" for line in lines) in page


def test_the_decision_lists_every_rule_that_is_modelled():
    page = (ROOT / "docs/decisions/0022-model.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\d+[a-z]?) \| (.+?) \| (.+?) \|", page, re.MULTILINE)

    assert listed == [(rule.name, rule.says, rule.without) for rule in RULES.values()]
