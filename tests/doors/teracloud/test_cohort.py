"""Basic by default for those who registered early, and off for later ones, wherever it opens."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.asking import basic, verdict
from tests.doors.teracloud.conftest import INSTANT
from tests.world import until

from latchgate.core.model import Noun
from latchgate.core.timestamp import parse_rfc3339
from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

AT = parse_rfc3339(INSTANT)
OWN = "/manage/v1/account/basic"
GOOD = "seven otters juggle lanterns"
WRONG = '{"result":401,"message":"The user ID or the password is not correct."}'
AREAS = ["/dav/file", "/backup/file", "/dav"]


@pytest.fixture
def person(server, world):
    """A user who registered at a moment, their key, and their login password in TeraCLOUD."""

    def make(login, registered_at):
        owner = world.somebody(tenant_id=world.owner.tenant_id)
        table = schema.user
        moved = sa.update(table).where(table.c.id == owner.user_id)
        world.change(Noun.USER, owner.user_id, moved.values(created_at=registered_at))
        made = server.call(
            "POST",
            f"/manage/v1/users/{owner.user_id}/password",
            {"namespace": "teracloud", "login": login},
        )
        assert made.status == 201, made.body
        return owner, world.key("own", "manage", owner=owner), made.json["password"]

    return make


def opens(server, login, password, target="/dav/file"):
    """Whether a request is allowed; a refusal is the one that a wrong password gets."""
    told = verdict(server, target, basic(login, password))
    if not told["allowed"]:
        assert told["status"] == 401
        assert told["body"] == WRONG
    return told["allowed"]


def shown(server, key):
    told = server.call("GET", f"{OWN}/teracloud", token=key.text).json
    return told["enabled"], told["login_password"]


def test_the_login_password_opens_for_who_registered_a_moment_before_and_not_at_it(server, person):
    _, early_key, early = person("early", AT - 0.001)
    _, late_key, late = person("late", AT)
    for target in AREAS:
        assert opens(server, "early", early, target)
        assert not opens(server, "late", late, target)
    # What a stranger is told of either is what they are told of a wrong password.
    assert not opens(server, "late", "not the password")
    assert shown(server, early_key) == (False, True)
    assert shown(server, late_key) == (False, False)


def test_a_later_user_enables_it_and_gets_a_random_password(server, person):
    _, key, login_password = person("enabler", AT + 1)
    made = server.call("POST", OWN, {}, token=key.text)
    assert made.status == 201, made.body
    assert made.json["password"].startswith("tcap_")
    assert opens(server, "enabler", made.json["password"])
    assert not opens(server, "enabler", login_password)


def test_an_app_password_ends_the_default_for_good(server, person):
    _, key, login_password = person("taker", AT - 1)
    assert opens(server, "taker", login_password)
    app_password = server.call("POST", OWN, {}, token=key.text).json["password"]
    assert not opens(server, "taker", login_password)
    assert opens(server, "taker", app_password)
    assert shown(server, key) == (True, False)
    assert server.call("DELETE", f"{OWN}/teracloud", token=key.text).status == 200
    # Off is off: nobody falls back to the password that opens everything else of theirs.
    assert not opens(server, "taker", login_password)
    assert not opens(server, "taker", app_password)
    assert shown(server, key) == (False, False)


def test_an_early_user_switches_the_default_off_at_once(server, person):
    owner, key, login_password = person("off", AT - 1)
    assert opens(server, "off", login_password)
    ended = server.call("DELETE", f"/manage/v1/users/{owner.user_id}/basic/teracloud")
    assert ended.status == 200, ended.body
    assert ended.json["receipt"]["verifiers"][0]["state"] == "acknowledged"
    assert not opens(server, "off", login_password)
    again = server.call("POST", OWN, {}, token=key.text)
    assert opens(server, "off", again.json["password"])


def test_a_changed_login_password_leaves_the_app_password_alone(server, person):
    _, key, login_password = person("changer", AT - 1)
    body = {"namespace": "teracloud", "current_password": login_password, "new_password": GOOD}
    path = "/manage/v1/account/password"
    assert server.call("PUT", path, body, token=key.text).status == 200
    # By default the new one takes the old one's place ...
    assert opens(server, "changer", GOOD)
    app_password = server.call("POST", OWN, {}, token=key.text).json["password"]
    body |= {"current_password": GOOD, "new_password": f"{GOOD} again"}
    assert server.call("PUT", path, body, token=key.text).status == 200
    # ... and beside an app password it changes nothing.
    assert opens(server, "changer", app_password)
    assert not opens(server, "changer", f"{GOOD} again")


def test_a_refusal_by_default_is_explained_with_what_would_help(server, person):
    _, _, login_password = person("asks", AT)
    refused = verdict(server, "/dav/file", basic("asks", login_password))
    path = f"/manage/v1/decisions/{refused['decision']}"
    until(lambda: server.call("GET", path).status == 200, seconds=30, what="the explanation")
    told = server.call("GET", path).json
    assert told["reason"] == "basic_not_enabled"
    assert told["change"].startswith("Enable Basic for the user")
    (step,) = [one for one in told["steps"] if one["step"] == "basic"]
    assert (step["ok"], "Basic is off until it is enabled" in step["text"]) == (False, True)
    assert login_password not in str(told)
