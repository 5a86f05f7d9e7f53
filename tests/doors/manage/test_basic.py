"""App passwords over HTTP, and what each change does to the next request at the verify door."""

from __future__ import annotations

import pytest
from tests.asking import allows, basic

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

OWN = "/manage/v1/account/basic"
FILE = "/dav/file.txt"


@pytest.fixture
def bearer(world):
    """A user of the administrator's tenant with a name fit to log in with, and their key."""

    def make(*scopes, name=None, **key):
        owner = world.somebody(*scopes, tenant_id=world.owner.tenant_id)
        if name is not None:
            rename(world, owner.user_id, name)
        return owner, world.key("own", "manage", owner=owner, **key)

    return make


def rename(world, user_id, name):
    import sqlalchemy as sa

    from latchgate.core.model import Noun
    from latchgate.store import schema

    table = schema.user
    world.change(
        Noun.USER, user_id, sa.update(table).where(table.c.id == user_id).values(name=name)
    )


def test_enable_reissue_and_disable_take_effect_with_the_next_request(server, bearer):
    _, key = bearer(name="zoe")
    made = server.call("POST", OWN, {}, token=key.text)
    assert made.status == 201, made.body
    assert made.headers["cache-control"] == "no-store"
    first = made.json["password"]
    assert made.json["login"] == "zoe"
    assert allows(server, FILE, basic("zoe", first))
    assert allows(server, FILE, basic("ZOE", first))
    mistyped = first[:-1] + ("0" if first[-1] != "0" else "1")
    assert not allows(server, FILE, basic("zoe", mistyped))

    again = server.call("POST", f"{OWN}/teracloud/reissue", token=key.text)
    assert again.json["receipt"]["verifiers"][0]["state"] == "acknowledged"
    assert not allows(server, FILE, basic("zoe", first))
    assert allows(server, FILE, basic("zoe", again.json["password"]))

    ended = server.call("DELETE", f"{OWN}/teracloud", token=key.text)
    assert (ended.status, ended.json["enabled"]) == (200, False)
    assert not allows(server, FILE, basic("zoe", again.json["password"]))
    # The name stays theirs, a repeat has a receipt of its own, and it can be enabled anew.
    assert server.call("DELETE", f"{OWN}/teracloud", token=key.text).json["receipt"]
    assert server.call("POST", f"{OWN}/teracloud/reissue", token=key.text).status == 404
    anew = server.call("POST", OWN, {}, token=key.text)
    assert allows(server, FILE, basic("zoe", anew.json["password"]))


def test_a_password_is_shown_once_and_in_no_other_answer(server, bearer):
    _, key = bearer(name="once")
    sent = {"Idempotency-Key": "just-once"}
    made = server.call("POST", OWN, {}, token=key.text, headers=sent)
    repeat = server.call("POST", OWN, {}, token=key.text, headers=sent)
    shown = server.call("GET", f"{OWN}/teracloud", token=key.text)
    assert (repeat.status, repeat.headers["idempotency-replayed"]) == (200, "true")
    for answer in (repeat, shown):
        assert answer.json["enabled"] is True
        assert made.json["password"].encode() not in answer.body
    assert server.call("POST", OWN, {}, token=key.text).status == 409


@pytest.mark.parametrize("other", ["Taken", "TAKEN", "\uff54aken"])
def test_a_taken_login_name_is_a_conflict_however_it_is_written(server, bearer, other):
    _, key = bearer()
    server.call("POST", OWN, {"login": "taken"}, token=key.text)
    _, second = bearer()
    answer = server.call("POST", OWN, {"login": other}, token=second.text)
    # Letters that only look like it are none of a login name's at all (D4.28, D4.29).
    assert answer.status == (409 if other.isascii() else 422)


@pytest.mark.parametrize("login", ["a b", "a:b", "", "\u0430dmin", "x" * 129])
def test_a_name_that_is_no_login_name_is_refused_by_field(server, bearer, login):
    _, key = bearer()
    answer = server.call("POST", OWN, {"login": login}, token=key.text)
    assert answer.status == 422
    assert answer.json["errors"][0]["field"] == "login"


def test_an_administrator_enables_it_for_a_user_who_then_uses_it(server, bearer):
    owner, _ = bearer(name="helped")
    path = f"/manage/v1/users/{owner.user_id}/basic"
    made = server.call("POST", path, {})
    assert made.status == 201, made.body
    assert allows(server, FILE, basic("helped", made.json["password"]))
    assert server.call("GET", f"{path}/teracloud").json["login"] == "helped"
    again = server.call("POST", f"{path}/teracloud/reissue").json["password"]
    assert not allows(server, FILE, basic("helped", made.json["password"]))
    server.call("DELETE", f"{path}/teracloud")
    assert not allows(server, FILE, basic("helped", again))


def test_nobody_is_given_a_password_that_opens_more_than_its_maker_holds(server, bearer, world):
    owner, _ = bearer("dav:read", "dav:write", name="rich")
    key = world.key("own", "manage", scopes=["manage:users.write", "own:basic.write", "dav:read"])
    path = f"/manage/v1/users/{owner.user_id}/basic"
    answer = server.call("POST", path, {}, token=key.text)
    assert (answer.status, answer.code) == (403, "forbidden")
    assert "dav:write" in answer.json["detail"]
    mine = world.key("own", owner=owner, scopes=["own:basic.write", "dav:read"])
    owner_key = world.key("own", owner=owner)
    assert server.call("POST", OWN, {}, token=mine.text).status == 403
    assert server.call("POST", OWN, {}, token=owner_key.text).status == 403  # not own:basic.write
    assert not server.call("GET", f"{path}/teracloud").json["enabled"]


def test_one_may_not_make_a_password_that_outlives_the_key_it_is_made_with(server, bearer, world):
    owner, _ = bearer()
    key = world.key("own", owner=owner, expires_at=world.clock() + 3600)
    answer = server.call("POST", OWN, {"login": "brief"}, token=key.text)
    assert (answer.status, answer.code) == (403, "forbidden")


def test_another_tenants_user_does_not_exist(server, world):
    stranger = world.somebody()
    path = f"/manage/v1/users/{stranger.user_id}/basic"
    asked = (("POST", path), ("GET", f"{path}/teracloud"), ("DELETE", f"{path}/teracloud"))
    for method, target in (*asked, ("POST", f"{path}/teracloud/reissue")):
        body: dict[str, str] | None = {} if target == path else None
        assert server.call(method, target, body).status == 404, target


def test_a_namespace_that_takes_no_app_passwords_is_told_with_those_that_do(server):
    answer = server.call("POST", OWN, {"namespace": "wayscloud"})
    assert answer.status == 422
    assert "teracloud" in answer.json["errors"][0]["detail"]


def test_a_disabled_users_app_password_opens_nothing(server, bearer, world):
    import sqlalchemy as sa

    from latchgate.core.model import Noun
    from latchgate.store import schema

    owner, key = bearer(name="leaver")
    made = server.call("POST", OWN, {}, token=key.text).json["password"]
    assert allows(server, FILE, basic("leaver", made))
    table = schema.user
    gone = sa.update(table).where(table.c.id == owner.user_id).values(active=False)
    world.change(Noun.USER, owner.user_id, gone)
    assert not allows(server, FILE, basic("leaver", made))
