"""What happens to leaked secrets, on a page: shown, and set by kind."""

from __future__ import annotations

import re

import pytest
from tests import people
from tests.doors.console.visitor import Visitor

from latchgate.manage import leak_rules

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

KIND = "wayscloud.service_key"
PAGE = "/settings/leaks"


@pytest.fixture
def owner(world):
    return people.owner(world)


@pytest.fixture
def chief(visitor, owner):
    visitor.sign_in(owner, PAGE)
    visitor.see(PAGE)
    return visitor


def chosen(visitor: Visitor, kind: str) -> str:
    """Return what the page says happens to a kind."""
    visitor.see(PAGE)
    form = re.search(
        rf'name="kind" value="{re.escape(kind)}">.*?value="(\w+)" selected', visitor.page, re.DOTALL
    )
    assert form is not None, visitor.page
    return form[1]


def test_what_has_no_rule_is_revoked_until_one_is_set(chief):
    assert chosen(chief, KIND) == chosen(chief, "*") == "revoke"
    answer = chief.send(f"{PAGE}/set", {"kind": "*", "action": "notify"})
    assert answer.headers["location"] == f"{PAGE}?done=1"
    assert chosen(chief, KIND) == "notify"
    chief.send(f"{PAGE}/set", {"kind": KIND, "action": "revoke"})
    assert (chosen(chief, KIND), chosen(chief, "*")) == ("revoke", "notify")
    assert "It holds from now on." in (chief.see(f"{PAGE}?done=1").body.decode())


@pytest.mark.parametrize(
    "form", [{"kind": "nothing", "action": "notify"}, {"kind": KIND, "action": "ignore"}, {}]
)
def test_what_can_not_be_set_is_said_and_changes_nothing(chief, form):
    answer = chief.send(f"{PAGE}/set", form)
    assert answer.status == 422
    assert 'class="problem" role="alert"' in answer.body.decode()
    assert chosen(chief, KIND) == "revoke"


def test_who_may_only_read_sees_words_and_no_form(server, world, owner):
    reader = Visitor(server)
    reader.sign_in(people.colleague(world, owner, "manage:leaks.read"))
    assert reader.see(PAGE).status == 200
    assert f"{PAGE}/set" not in reader.page
    assert "Revoke it at once" in reader.page
    assert reader.send(f"{PAGE}/set", {"kind": KIND, "action": "notify"}).status == 403


def test_a_form_without_the_token_of_its_page_is_refused(chief, world, owner):
    chief.token = "0" * 64
    assert chief.send(f"{PAGE}/set", {"kind": KIND, "action": "notify"}).status == 403
    assert chosen(chief, KIND) == "revoke"


def test_each_kind_that_can_be_proven_leaked_is_there(chief, world):
    assert re.findall(r'name="kind" value="([^"]+)"', chief.page)[1:] == leak_rules.kinds(
        world.engine().policy
    )
