"""What both servers are asked, in order. Source: providers/kakaocloud; Keystone v3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interop.keystone.asking import Question

_TOKENS = "/v3/auth/tokens"
_KEYS = "/v3/users/$user_id/application_credentials"
_RULE = {"path": "/v2.1/servers", "method": "GET", "service": "compute"}


def _password(user: Mapping[str, object], password: str = "$password", scope: object = None) -> Any:
    who = {"user": {**user, "password": password}}
    auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": who}}
    return {"auth": auth if scope is None else {**auth, "scope": scope}}


def _key(**told: object) -> Any:
    how = {"methods": ["application_credential"], "application_credential": told}
    return {"auth": {"identity": how}}


def _new(**fields: object) -> Any:
    return {"application_credential": fields}


def _methods(*methods: str, **blocks: object) -> Any:
    return {"auth": {"identity": {"methods": list(methods), **blocks}}}


_BY_ID = {"id": "$user_id"}
_BY_NAME = {"name": "$user", "domain": {"name": "$domain"}}
_PROJECT = {"project": {"id": "$project_id"}}
_SUBJECT = {"X-Subject-Token": "$token"}

VERSIONS = [
    Question("the versions", "GET", "", token=""),
    Question("the versions, with a slash", "GET", "/", token=""),
    Question("the version", "GET", "/v3", token=""),
    Question("the version, with a slash", "GET", "/v3/", token=""),
    Question("the version, its head", "HEAD", "/v3", token=""),
]

PASSWORDS = [
    Question(
        "password for a project", "POST", _TOKENS, _password(_BY_NAME, scope=_PROJECT), "",
        keep={"token": "X-Subject-Token"},
    ),
    Question("password of a user's id", "POST", _TOKENS, _password(_BY_ID, scope=_PROJECT), ""),
    Question(
        "password, project by name", "POST", _TOKENS,
        _password(
            _BY_ID, scope={"project": {"name": "$project", "domain": {"name": "$domain"}}}
        ), "",
    ),
    Question(
        "password of a service", "POST", _TOKENS,
        _password(
            {"name": "$service", "domain": {"name": "$domain"}}, "$service_password",
            {"project": {"id": "$service_project_id"}},
        ), "", keep={"service_token": "X-Subject-Token"},
    ),
    Question("wrong password", "POST", _TOKENS, _password(_BY_NAME, "wrong"), ""),
    Question("unknown user", "POST", _TOKENS, _password({"id": "nobody"}, "wrong"), ""),
    Question(
        "password for another's project", "POST", _TOKENS,
        _password(_BY_ID, scope={"project": {"id": "$service_project_id"}}), "",
    ),
    Question("user name without domain", "POST", _TOKENS, _password({"name": "$user"}), ""),
    Question("no method that there is", "POST", _TOKENS, _methods("palmistry", palmistry={}), ""),
    Question("a method without its block", "POST", _TOKENS, _methods("password"), ""),
    Question("nothing in the body", "POST", _TOKENS, {}, ""),
    Question("no JSON", "POST", _TOKENS, "{", ""),
    Question(
        "a form", "POST", _TOKENS, "a=b", "",
        {"Content-Type": "application/x-www-form-urlencoded"},
    ),
]  # fmt: skip

KEYS = [
    Question(
        "make a key", "POST", _KEYS, _new(name="one"),
        keep={
            "id": "application_credential.id", "secret": "application_credential.secret",
        },
    ),
    Question("a name twice", "POST", _KEYS, _new(name="one")),
    Question(
        "make a key of everything", "POST", _KEYS,
        _new(
            name="all", description="d", expires_at="2099-02-27T18:30:59Z",
            roles=[{"name": "reader"}], unrestricted=True, access_rules=[_RULE],
        ), keep={"ruled": "application_credential.id"},
    ),
    Question("make a key without a name", "POST", _KEYS, _new(description="d")),
    Question("make a key with what there isn't", "POST", _KEYS, _new(name="x", foo="bar")),
    Question(
        "make a key with a role not held", "POST", _KEYS,
        _new(name="x", roles=[{"name": "admin"}]),
    ),
    Question(
        "make a key with a role that isn't", "POST", _KEYS,
        _new(name="x", roles=[{"name": "nonesuch"}]),
    ),
    Question(
        "make an expired key", "POST", _KEYS, _new(name="x", expires_at="2001-01-01T00:00:00Z")
    ),
    Question("make a key until nonsense", "POST", _KEYS, _new(name="x", expires_at="soon")),
    Question("make another's key", "POST", _KEYS.replace("$user_id", "$other_id"), _new(name="x")),
    Question("make a key without a token", "POST", _KEYS, _new(name="x"), ""),
    Question("list keys", "GET", _KEYS),
    Question("list keys of a name", "GET", f"{_KEYS}?name=one"),
    Question("list another's keys", "GET", _KEYS.replace("$user_id", "$other_id")),
    Question("show a key", "GET", f"{_KEYS}/$id"),
    Question("show a key with rules", "GET", f"{_KEYS}/$ruled"),
    Question("show no key", "GET", f"{_KEYS}/deadbeef"),
    Question("change a key", "PATCH", f"{_KEYS}/$id", _new(name="y")),
    Question("list rules", "GET", "/v3/users/$user_id/access_rules"),
]  # fmt: skip

LOGINS = [
    Question(
        "log in by id", "POST", _TOKENS, _key(id="$id", secret="$secret"), "",
        keep={"own": "X-Subject-Token"},
    ),
    Question(
        "log in by name and id", "POST", _TOKENS,
        _key(name="one", secret="$secret", user=_BY_ID), "",
    ),
    Question(
        "log in by names", "POST", _TOKENS, _key(name="one", secret="$secret", user=_BY_NAME), ""
    ),
    Question(
        "log in without a catalog", "POST", f"{_TOKENS}?nocatalog",
        _key(id="$id", secret="$secret"), "",
    ),
    Question("wrong secret", "POST", _TOKENS, _key(id="$id", secret="wrong"), ""),
    Question("no secret", "POST", _TOKENS, _key(id="$id"), ""),
    Question("unknown id", "POST", _TOKENS, _key(id="nope", secret="$secret"), ""),
    Question("a name without a user", "POST", _TOKENS, _key(name="one", secret="$secret"), ""),
    Question(
        "a scope with a key", "POST", _TOKENS,
        {"auth": {**_key(id="$id", secret="$secret")["auth"], "scope": _PROJECT}}, "",
    ),
    Question("a key with a key's token", "POST", _KEYS, _new(name="two"), "own"),
    Question("list keys with a key's token", "GET", _KEYS, token="own"),
]  # fmt: skip

READS = [
    Question("validate one's own", "GET", _TOKENS, headers=_SUBJECT),
    Question("validate one's own, its head", "HEAD", _TOKENS, headers=_SUBJECT),
    Question("validate without a catalog", "GET", f"{_TOKENS}?nocatalog", headers=_SUBJECT),
    Question("validate another's", "GET", _TOKENS, headers={"X-Subject-Token": "$service_token"}),
    Question("validate as a service", "GET", _TOKENS, token="service_token", headers=_SUBJECT),
    Question(
        "validate a key's token as a service", "GET", _TOKENS, token="service_token",
        headers={"X-Subject-Token": "$own"},
    ),
    Question(
        "validate nonsense as a service", "GET", _TOKENS, token="service_token",
        headers={"X-Subject-Token": "nonsense"},
    ),
    Question("validate without a token", "GET", _TOKENS, token="", headers=_SUBJECT),
    Question("validate nothing", "GET", _TOKENS),
    Question("list every project", "GET", "/v3/projects"),
    Question("list one's projects", "GET", "/v3/users/$user_id/projects"),
    Question("list one's projects, with a slash", "GET", "/v3/users/$user_id/projects/"),
    Question("list one's projects without a token", "GET", "/v3/users/$user_id/projects", token=""),
    Question(
        "list projects with a bearer", "GET", "/v3/users/$user_id/projects", token="",
        headers={"Authorization": "Bearer $token"},
    ),
    Question("list another's projects", "GET", "/v3/users/$other_id/projects"),
    Question("list projects of a name", "GET", "/v3/users/$user_id/projects?name=nonesuch"),
    Question("list projects to log in to", "GET", "/v3/auth/projects"),
    Question("the catalog", "GET", "/v3/auth/catalog"),
    Question("domains to log in to", "GET", "/v3/auth/domains"),
    Question("systems to log in to", "GET", "/v3/auth/system"),
    Question("show a project", "GET", "/v3/projects/$project_id"),
    Question("show another's project", "GET", "/v3/projects/$service_project_id"),
    Question("show oneself", "GET", "/v3/users/$user_id"),
    Question("show another", "GET", "/v3/users/$other_id"),
    *(
        Question(f"list {what}", "GET", f"/v3/{what}")
        for what in ("users", "domains", "roles", "services", "endpoints", "role_assignments")
    ),
    Question("nowhere", "GET", "/v3/nonesuch"),
]  # fmt: skip

ENDS = [
    Question(
        "give a token back", "DELETE", _TOKENS, token="own", headers={"X-Subject-Token": "$own"}
    ),
    Question("use what was given back", "GET", "/v3/users/$user_id/projects", token="own"),
    Question(
        "validate what was given back", "GET", _TOKENS, token="service_token",
        headers={"X-Subject-Token": "$own"},
    ),
    Question(
        "log in again", "POST", _TOKENS, _key(id="$id", secret="$secret"), "",
        keep={"last": "X-Subject-Token"},
    ),
    Question("delete a key", "DELETE", f"{_KEYS}/$id"),
    Question("delete it twice", "DELETE", f"{_KEYS}/$id"),
    Question("use a deleted key's token", "GET", "/v3/users/$user_id/projects", token="last"),
    Question(
        "validate a deleted key's token", "GET", _TOKENS, token="service_token",
        headers={"X-Subject-Token": "$last"},
    ),
    Question("log in with a deleted key", "POST", _TOKENS, _key(id="$id", secret="$secret"), ""),
]  # fmt: skip

QUESTIONS = (*VERSIONS, *PASSWORDS, *KEYS, *LOGINS, *READS, *ENDS)
