"""`latchgate tenant`, `user`, `project`, `role`, `whoami` and `key update`, as transcripts.

One verb is one route: what a verb prints with `--json` is what the route answers.
"""

from __future__ import annotations

import itertools
import re

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
_numbers = itertools.count(1)
NOUNS = {
    "tenant": ("tenants", ("--user", "eve")),
    "user": ("users", ()),
    "project": ("projects", ()),
    "role": ("roles", ()),
}


def make(server, noun, *more):
    name = f"{noun} {next(_numbers)}"
    done = server.cli(noun, "create", "--name", name, *NOUNS[noun][1], *more, "--json")
    assert (done.code, done.err) == (0, "")
    return done.json


def shown(out):
    """Read two columns back into pairs."""
    lines = [line for line in out.splitlines() if "  " in line]
    return {line.partition(" ")[0]: line.partition(" ")[2].strip() for line in lines}


@pytest.mark.parametrize("noun", NOUNS)
def test_a_record_is_made_shown_listed_and_renamed(server, noun):
    made = make(server, noun)
    path = f"/manage/v1/{NOUNS[noun][0]}/{made['id']}"
    assert server.cli(noun, "show", made["id"], "--json").json == server.call("GET", path).json
    told = shown(server.cli(noun, "show", made["id"]).out)
    assert (told["id"], told["name"]) == (made["id"], made["name"])
    listed = server.cli(noun, "list", "--search", made["id"])
    assert (listed.code, listed.err) == (0, "")
    heading, line = listed.out.splitlines()
    assert heading.startswith("ID ")
    assert line.startswith(made["id"])
    update = (noun, "update", made["id"], "--name", f"{made['name']} b")
    renamed = server.cli(*update, "--if-version", str(made["version"]), "--json").json
    assert (renamed["name"], renamed["id"]) == (f"{made['name']} b", made["id"])
    assert renamed["version"] > made["version"]


@pytest.mark.parametrize("noun", NOUNS)
def test_a_change_since_the_version_one_saw_refuses(server, noun):
    made = make(server, noun)
    stale = str(made["version"] - 1)
    done = server.cli(noun, "update", made["id"], "--name", "x", "--if-version", stale)
    assert (done.code, done.out) == (1, "")
    assert f"is at version {made['version']} now (412 version_changed)" in done.err


@pytest.mark.parametrize("noun", NOUNS)
def test_a_creation_sent_twice_makes_one(server, noun):
    once = ("--idempotency-key", f"k-{noun}")
    name = ("--name", f"once {noun}", *NOUNS[noun][1])
    first = server.cli(noun, "create", *name, *once, "--json").json
    again = server.cli(noun, "create", *name, *once, "--json").json
    assert again["id"] == first["id"]
    assert "token" not in again
    other = server.cli(noun, "create", "--name", "other", *NOUNS[noun][1], *once)
    assert (other.code, other.out) == (1, "")
    assert "Idempotency-Key: was used for another request" in other.err


@pytest.mark.parametrize("noun", NOUNS)
def test_lists_take_sorts_filters_and_go_on(server, noun):
    names = sorted(make(server, noun)["name"] for _ in range(2))
    asked = (noun, "list", "--search", noun, "--sort", "-name", "--limit", "1")
    first = server.cli(*asked)
    again = re.fullmatch(rf"There are more: latchgate {noun} list --after (\S+)\n", first.err)
    assert again is not None
    second = server.cli(*asked, "--after", again[1], "--json")
    assert second.code == 0
    found = server.cli(noun, "list", "--filter", f"name={names[0]}", "--json").json
    assert [one["name"] for one in found[NOUNS[noun][0]]] == [names[0]]
    wrong = server.cli(noun, "list", "--filter", "nothing=1")
    assert (wrong.code, wrong.out) == (1, "")
    assert "nothing: there is no such parameter; use limit, after, q, sort" in wrong.err
    assert server.cli(noun, "list", "--filter", "nothing").code == 2


@pytest.mark.parametrize(
    ("noun", "off", "on"),
    [
        ("tenant", "suspend", "reinstate"),
        ("user", "disable", "enable"),
        ("project", "disable", "enable"),
    ],
)
def test_what_is_switched_off_says_who_follows(server, noun, off, on):
    made = make(server, noun)
    done = server.cli(noun, off, made["id"])
    assert (done.code, done.err) == (0, "")
    told = shown(done.out)
    assert (told["id"], told["active"]) == (made["id"], "False")
    assert re.fullmatch(r"[0-9a-f]{16} acknowledged", told["verifiers"])
    assert server.cli(noun, "show", made["id"], "--json").json["active"] is False
    assert server.cli(noun, on, made["id"], "--json").json["active"] is True


def test_a_new_tenant_shows_its_token_once_and_the_token_works(server):
    done = server.cli("tenant", "create", "--name", "Acme", "--user", "eve", "--project", "web")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("The token is shown this once.\n")
    told = shown(done.out)
    env = {"LATCHGATE_TOKEN": told["token"]}
    who = server.cli("whoami", "--json", **env).json
    assert (who["user"]["name"], who["tenant_id"]) == ("eve", told["id"])
    assert who["project_id"] == told["project_id"]
    refused = server.cli("tenant", "list", **env)
    assert refused.code == 1
    assert "403 insufficient_scope" in refused.err
    assert [one["name"] for one in server.cli("user", "list", "--json", **env).json["users"]] == [
        "eve"
    ]


def test_a_user_is_restricted_and_freed(server):
    user = make(server, "user", "--sort", "service", "--email", "a@b.example", "--no-ip-ranges")
    assert (user["sort"], user["ip_filters"], user["email"]) == ("service", [], "a@b.example")
    update = ("user", "update", user["id"])
    told = server.cli(*update, "--allow-ip-range", "192.0.2.7/24", "--no-api", "--json").json
    assert (told["ip_filters"], told["allow_api"]) == (["192.0.2.0/24"], False)
    told = server.cli(*update, "--any-ip", "--api", "--email", "", "--json").json
    assert (told["ip_filters"], told["allow_api"], told["email"]) == (None, True, None)
    assert server.cli(*update, "--any-ip", "--no-ip-ranges").code == 2


def test_a_role_is_given_taken_away_and_deleted(server):
    user, project = make(server, "user"), make(server, "project")
    low = make(server, "role", "--scope", "storage:read")
    high = make(server, "role", "--implies", low["id"])
    place = (user["id"], project["id"], high["id"])
    given = server.cli("user", "give-role", *place, "--json").json
    assert given["roles"] == [{"project_id": project["id"], "role_id": high["id"]}]
    held = server.cli("role", "delete", high["id"])
    assert (held.code, "409 conflict" in held.err) == (1, True)
    taken = server.cli("user", "take-role", *place)
    assert (taken.code, taken.err) == (0, "")
    assert shown(taken.out)["roles"] == "none"
    assert "acknowledged" in shown(taken.out)["verifiers"]
    changed = server.cli("role", "update", high["id"], "--implies-none", "--no-scopes", "--json")
    assert (changed.json["implies"], changed.json["scopes"]) == ([], [])
    assert server.cli("role", "delete", low["id"], "--json").json["id"] == low["id"]
    gone = server.cli("role", "show", low["id"])
    assert (gone.code, "404 not_found" in gone.err) == (1, True)
    assert server.cli("role", "update", high["id"], "--no-scopes", "--scope", "x:y").code == 2


def test_the_last_administrator_is_told_why_not(server):
    who = server.cli("whoami", "--json").json
    done = server.cli("user", "disable", who["user"]["id"])
    assert (done.code, done.out) == (1, "")
    assert "without an active user who can manage users and roles (409 conflict)" in done.err


def test_a_key_is_updated(server):
    made = server.create(name="old", metadata={"a": "1", "b": "2"})
    update = ("key", "update", made["id"], "--name", "new", "--metadata", "c=3")
    told = server.cli(*update, "--without-metadata", "a", "--json").json
    assert (told["name"], told["metadata"]) == ("new", {"b": "2", "c": "3"})
    assert server.allows(made["key"])


def test_a_users_storage_is_shown_changed_and_taken_back(server):
    user = make(server, "user")["id"]
    assert server.cli("user", "storage", user, "--json").json["version"] == 0
    node = ("--node", "aki.example.com")
    lone = server.cli("user", "storage", user, *node)
    assert (lone.code, "set one" in lone.err) == (1, True)
    told = (*node, "--quota", "5", "--used", "2", "--introduce-code", "ABC12")
    made = server.cli("user", "storage", user, *told, "--if-version", "0", "--json").json
    assert server.call("GET", f"/manage/v1/users/{user}/storage").json == made
    assert (made["node"], made["quota"], made["used"]) == ("aki.example.com", 5, 2)
    stale = server.cli("user", "storage", user, "--used", "3", "--if-version", "0")
    assert (stale.code, "412 version_changed" in stale.err) == (1, True)
    told = shown(server.cli("user", "storage", user, "--node", "").out)
    assert (told["node"], told["introduce_code"]) == ("-", "ABC12")
