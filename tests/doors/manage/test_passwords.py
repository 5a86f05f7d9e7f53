"""Account passwords over HTTP: rules, throttle, and what a change does to the next request."""

from __future__ import annotations

import pytest
from tests.asking import allows, basic

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

PATH = "/manage/v1/account/password"
GOOD = "seven otters juggle lanterns"
BETTER = "umbrellas taste of thursday"
SERVERS = "/1.3/server"


@pytest.fixture
def person(server, world):
    """A user with an UpCloud login and the random password that an administrator issued."""

    def make(login):
        owner = world.somebody(tenant_id=world.owner.tenant_id)
        spec = {"namespace": "upcloud", "login": login}
        made = server.call("POST", f"/manage/v1/users/{owner.user_id}/password", spec)
        assert made.status == 201, made.body
        return owner, world.key("own", owner=owner), made.json["password"]

    return make


def change(server, key, current, new, **more):
    body = {"current_password": current, "new_password": new, "namespace": "upcloud", **more}
    return server.call("PUT", PATH, body, token=key.text)


def test_first_password_change_and_disabling_take_effect_with_the_next_request(server, person):
    owner, key, first = person("petra")
    assert allows(server, SERVERS, basic("petra", first))
    done = change(server, key, first, GOOD)
    assert done.status == 200, done.body
    assert done.json["receipt"]["verifiers"][0]["state"] == "acknowledged"
    assert not allows(server, SERVERS, basic("petra", first))
    assert allows(server, SERVERS, basic("petra", GOOD))
    # Again by the administrator, who then takes it.
    path = f"/manage/v1/users/{owner.user_id}/password"
    second = server.call("POST", path, {"namespace": "upcloud"}).json["password"]
    assert not allows(server, SERVERS, basic("petra", GOOD))
    assert allows(server, SERVERS, basic("petra", second))
    assert server.call("DELETE", f"{path}/upcloud").status == 200
    assert not allows(server, SERVERS, basic("petra", second))
    assert change(server, key, second, GOOD).status == 404


def test_a_password_is_taken_however_its_letters_are_composed(server, person):
    _, key, first = person("nfc")
    assert change(server, key, first, "café und äpfel am morgen").status == 200
    assert allows(server, SERVERS, basic("nfc", "café und äpfel am morgen"))


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ("fourteen chars", "at least 15"),
        ("passwordpassword", "guessed"),
        ("aaaaaaaaaaaaaaaaaaaa", "Repeats"),
        ("rules.rules.rules.latchgate", "login name"),
        ("x" * 1025, "at most 1024"),
        ("a bell \a in the middle of it", "control character"),
    ],
)
def test_a_refusal_names_the_rule_and_what_would_be_right(server, refused_person, new, said):
    key, first = refused_person
    answer = change(server, key, first, new)
    assert answer.status == 422
    (fault,) = answer.json["errors"]
    assert fault["field"] == "new_password"
    assert said in fault["detail"]
    assert new not in fault["detail"]


@pytest.fixture(scope="module")
def refused_person(server, world):
    owner = world.somebody(tenant_id=world.owner.tenant_id)
    spec = {"namespace": "upcloud", "login": "rules"}
    made = server.call("POST", f"/manage/v1/users/{owner.user_id}/password", spec)
    return world.key("own", owner=owner), made.json["password"]


def test_a_key_alone_changes_no_password_and_guesses_are_throttled(server, person):
    _, key, first = person("guessed")
    answers = [change(server, key, f"a wrong guess {at}", GOOD) for at in range(5)]
    assert [one.status for one in answers] == [422] * 5
    assert answers[0].json["errors"][0]["field"] == "current_password"
    # The waits double, so however slow the machine is, one of the next comes too early.
    later = (change(server, key, f"another {at}", GOOD) for at in range(8))
    refused = next(one for one in later if one.status != 422)
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) > 0
    # Not even the right one gets through now.
    assert change(server, key, first, GOOD).status == 429
    assert first not in server.log


def test_the_same_password_again_is_no_change(server, person):
    _, key, first = person("same")
    assert change(server, key, first, GOOD).status == 200
    answer = change(server, key, GOOD, GOOD)
    assert answer.status == 422
    assert "current one" in answer.json["errors"][0]["detail"]


def test_no_password_reaches_journal_log_or_answer(server, world, person):
    _, key, first = person("hidden")
    answer = change(server, key, first, BETTER)
    kept = b"".join(row.detail.encode() for row in world.journal())
    kept += server.log.encode() + answer.body
    for secret in (first, BETTER, "argon2id"):
        assert secret.encode() not in kept


def test_nobody_sets_a_password_for_somebody_who_may_do_more(server, world):
    chief = world.somebody(tenant_id=world.owner.tenant_id)
    clerk = world.somebody("manage:users.write", tenant_id=world.owner.tenant_id)
    key = world.key("manage", owner=clerk)
    answer = server.call(
        "POST", f"/manage/v1/users/{chief.user_id}/password", {"login": "chief"}, token=key.text
    )
    assert (answer.status, answer.code) == (403, "forbidden")
