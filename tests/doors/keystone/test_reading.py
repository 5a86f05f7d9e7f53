"""What the identity API reads of a sign-in, and how it words what it can't."""

from __future__ import annotations

import json

import pytest

from latchgate.core.secret import Secret
from latchgate.doors.keystone.answers import MALFORMED, RefusedError
from latchgate.doors.keystone.reading import (
    KeyAsked,
    Named,
    PasswordAsked,
    TokenAsked,
    Whose,
    check_media_type,
    flag,
    read_query,
    read_sign_in,
)

SECRET = "a-secret-that-nobody-may-see"


def sent(identity, **auth):
    return json.dumps({"auth": {"identity": identity, **auth}}).encode()


def by_key(**block):
    return sent({"methods": ["application_credential"], "application_credential": block})


def by_password(user, **auth):
    return sent({"methods": ["password"], "password": {"user": user}}, **auth)


def refused(body):
    with pytest.raises(RefusedError) as error:
        read_sign_in(body)
    assert SECRET not in str(error.value)
    return error.value.status, error.value.message


def test_a_key_is_read_by_id_or_by_name_and_user():
    asked = read_sign_in(by_key(id="1", secret="s"))
    assert isinstance(asked, KeyAsked)
    assert (asked.id, asked.name, asked.user, asked.secret.reveal()) == ("1", None, None, "s")
    asked = read_sign_in(by_key(name="n", secret="s", user={"id": "u"}))
    assert isinstance(asked, KeyAsked)
    assert asked.user == Whose("u", None, Named())
    asked = read_sign_in(by_key(name="n", user={"name": "u", "domain": {"name": "d"}}))
    assert isinstance(asked, KeyAsked)
    assert asked.user == Whose(None, "u", Named(None, "d"))
    assert asked.secret.reveal() == ""


def test_a_password_is_read_with_and_without_a_project():
    scopes: list[dict[str, object]] = [{}, {"scope": None}, {"scope": "unscoped"}]
    scopes.append({"scope": {"unscoped": {}}})
    for scope in scopes:
        asked = read_sign_in(by_password({"id": "u", "password": "p"}, **scope))
        assert isinstance(asked, PasswordAsked)
        assert asked.project is None
    asked = read_sign_in(by_password({"id": "u"}, scope={"project": {"id": "p"}}))
    assert isinstance(asked, PasswordAsked)
    assert asked.project == Whose("p", None, Named())


def test_a_token_is_read():
    asked = read_sign_in(sent({"methods": ["token"], "token": {"id": "t"}}))
    assert isinstance(asked, TokenAsked)
    assert asked.text.reveal() == "t"


def test_a_method_named_twice_is_one():
    methods = ["token", "token"]
    assert isinstance(read_sign_in(sent({"methods": methods, "token": {"id": "t"}})), TokenAsked)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b"", "auth in request body"),
        (b"{}", "auth in request body"),
        (b'{"auth": 1}', "auth in request body"),
        (b'{"auth": {}}', "identity in auth"),
        (b"{", "valid JSON in request body"),
        (b"\xff", "valid JSON in request body"),
        (b"[]", "valid JSON in request body"),
        (b'"\\ud800"', "valid JSON in request body"),
        (b'{"auth":' * 5_000, "valid JSON in request body"),
        (sent({}), "methods in identity"),
        (sent({"methods": []}), "methods in identity"),
        (sent({"methods": "password"}), "methods in identity"),
        (sent({"methods": ["application_credential"]}), "application_credential in identity"),
        (sent({"methods": ["password"], "token": {}}), "password in identity"),
        (by_key(name="n", secret=SECRET), "user in application credential"),
        (by_key(secret=SECRET), "id or name in application credential"),
        (by_key(name="n", secret=SECRET, user={}), "id or name in user"),
        (by_key(name="n", secret=SECRET, user={"name": "u"}), "domain in user"),
        (
            by_key(name="n", secret=SECRET, user={"name": "u", "domain": {}}),
            "id or name in domain",
        ),
        (by_password(None), "user in password"),
        (by_password({"password": SECRET}), "id or name in user"),
        (by_password({"name": "u", "password": SECRET}), "domain in user"),
        (by_password({"id": "u"}, scope={"domain": {"id": "d"}}), "project in scope"),
        (by_password({"id": "u"}, scope="system"), "project in scope"),
        (sent({"methods": ["token"], "token": {}}), "id in token"),
    ],
)
def test_what_is_missing_is_named(body, wanted):
    assert refused(body) == (400, f"Expecting to find {wanted}. {MALFORMED}")


@pytest.mark.parametrize(
    "body",
    [
        by_key(id=1, secret=SECRET),
        by_key(id="1", secret=[SECRET]),
        by_key(name={"x": SECRET}, user={"id": "u"}),
        by_password({"id": "u", "password": 5}),
    ],
)
def test_what_is_no_text_is_refused_and_not_repeated(body):
    status, message = refused(body)
    assert status == 400
    assert message.startswith("Invalid input for field/attribute ")


@pytest.mark.parametrize(
    "body",
    [
        by_key(id="1", secret=SECRET, roles=[SECRET]),
        by_key(name="n", secret=SECRET, user={"id": "u", "x": SECRET}),
        by_password({"id": "u", "x": 1}),
        by_password({"id": "u"}, scope={"project": {"id": "p"}, "system": {"all": True}}),
        by_password({"id": "u"}, scope={"project": {"id": "p", "x": 1}}),
        sent({"methods": ["token"], "token": {"id": "t", "x": 1}}),
        sent({"methods": ["token"], "token": {"id": "t"}, "x": 1}),
        sent({"methods": ["token"], "token": {"id": "t"}}, x=1),
    ],
)
def test_what_would_be_ignored_is_refused(body):
    status, message = refused(body)
    assert status == 400
    assert "Additional properties are not allowed" in message


@pytest.mark.parametrize(
    "methods", [["saml2"], ["password", "token"], ["password", 1], [None], [["password"]]]
)
def test_a_method_that_there_is_not_or_two_at_once_are_not_supported(methods):
    body = sent({"methods": methods, "password": {}, "token": {}})
    with pytest.raises(RefusedError) as error:
        read_sign_in(body)
    assert error.value.status == 401
    assert error.value.message == "Attempted to authenticate with an unsupported method."
    assert error.value.more == {
        "identity": {"methods": ["password", "token", "application_credential"]}
    }


@pytest.mark.parametrize("scope", ["unscoped", {"project": {"id": "p"}}, {}])
def test_a_key_can_ask_for_no_scope(scope):
    identity = {"methods": ["application_credential"], "application_credential": {"id": "1"}}
    with pytest.raises(RefusedError) as error:
        read_sign_in(sent(identity, scope=scope))
    assert error.value.status == 401
    assert error.value.message == (
        "Error authenticating with application credential: Application credentials cannot request a"
        " scope."
    )
    assert error.value.more == {"identity": {}}


def test_nothing_that_was_read_prints_a_secret():
    for body in (by_key(id="1", secret=SECRET), by_password({"id": "u", "password": SECRET})):
        assert SECRET not in repr(read_sign_in(body))
    assert SECRET not in repr(Secret(SECRET))


@pytest.mark.parametrize("told", [None, "application/json", "Application/JSON;charset=utf-8"])
def test_json_is_taken_and_silence_for_it(told):
    check_media_type(told)


@pytest.mark.parametrize("told", ["", "text/json", "application/json, application/json"])
def test_another_media_type_is_refused(told):
    with pytest.raises(RefusedError, match="application/json in Content-Type header"):
        check_media_type(told)


def test_a_flag_is_set_by_its_presence_and_unset_by_a_word_for_no():
    query = read_query(b"a&b=&c=1&d=0&e=False&f=%6eo&g=yes")
    assert [flag(query, name) for name in "abcdefgz"] == [True] * 3 + [False] * 3 + [True, False]
    assert read_query(b"") == {}
