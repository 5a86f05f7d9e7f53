"""Rotation over HTTP: the secret once, the old one's end, and the receipt where it is at once."""

from __future__ import annotations

import time
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

KEYS = "/manage/v1/keys"


def make(server, **spec):
    made = server.call("POST", KEYS, {"name": "n", "services": ["storage"], **spec})
    assert made.status == 201, made.body
    return made.json


def rotate(server, key, body=None, **headers):
    path = f"{KEYS}/{key['id']}/rotation"
    return server.call("POST", path, body, headers=headers)


def test_a_rotation_answers_the_successor_once_and_says_when_the_old_one_ends(server):
    key = make(server, expires_in="90d")
    told = rotate(server, key, {"grace": "2d", "until_quiet": "24h"})
    assert told.status == 201, told.body
    new = told.json["successor"]
    assert told.headers["location"] == f"{KEYS}/{new['id']}"
    assert told.headers["cache-control"] == "no-store"
    assert (told.json["ended"], told.json["receipt"]) == (False, None)
    assert told.json["until_quiet_seconds"] == 86_400
    assert server.allows(key["key"])
    assert server.allows(told.json["secret"])
    shown = server.call("GET", f"{KEYS}/{key['id']}/rotation").json
    assert shown.keys() == told.json.keys() - {"secret", "receipt"}
    assert shown["successor"]["id"] == new["id"]
    old = server.call("GET", f"{KEYS}/{key['id']}").json
    assert (old["state"], old["superseded_by"]) == ("superseded", new["id"])
    assert old["expires_at"] == told.json["ends_at"]
    assert server.call("GET", f"{KEYS}/{new['id']}").json["predecessor_id"] == key["id"]


def test_without_a_grace_the_receipt_says_who_follows(server):
    key = make(server)
    assert server.allows(key["key"])
    told = rotate(server, key, {"grace": "0"})
    assert told.json["receipt"]["verifiers"][0]["state"] == "acknowledged"
    assert told.json["ended"]
    assert not server.allows(key["key"])
    assert server.allows(told.json["secret"])


def test_a_body_may_be_left_out_and_a_repeat_has_no_secret(server):
    key = make(server)
    once = {"Idempotency-Key": key["id"]}
    told, again = rotate(server, key, **once), rotate(server, key, **once)
    assert (told.status, again.status) == (201, 200)
    assert "secret" not in again.json
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json["successor"]["id"] == told.json["successor"]["id"]
    assert rotate(server, key, {"grace": "1d"}, **once).status == 422


def test_what_cant_be_is_refused_in_words(server):
    key = make(server)
    assert server.call("GET", f"{KEYS}/{key['id']}/rotation").status == 404
    refused = rotate(server, key, {"grace": "1y"})
    assert (refused.status, refused.json["errors"][0]["field"]) == (422, "grace")
    told = rotate(server, key).json
    again = rotate(server, key)
    assert (again.status, again.code) == (409, "conflict")
    assert told["successor"]["id"] in again.json["detail"]
    assert rotate(server, {"id": "nothing"}).status == 404
    stale = rotate(server, make(server), **{"If-Match": '"1"'})
    assert stale.status == 412


def test_disabled_and_enabled_with_a_receipt(server):
    key = make(server)
    assert server.allows(key["key"])
    off = server.call("POST", f"{KEYS}/{key['id']}/disable")
    assert (off.status, off.json["active"]) == (200, False)
    assert off.json["receipt"]["verifiers"][0]["state"] == "acknowledged"
    assert not server.allows(key["key"])
    assert server.call("GET", f"{KEYS}/{key['id']}").json["state"] == "disabled"
    assert server.call("POST", f"{KEYS}/{key['id']}/enable").json["active"]
    assert server.allows(key["key"])


def test_tokens_and_access_keys_are_rotated_by_their_owner(server):
    for path, spec in (
        ("/manage/v1/account/tokens", {"name": "t", "expires_in": "2h"}),
        ("/manage/v1/account/access-keys", {"name": "deploy"}),
    ):
        made = server.call("POST", path, spec).json
        told = server.call("POST", f"{path}/{made['id']}/rotation", {"grace": "1h"})
        assert told.status == 201, told.body
        shown = server.call("GET", f"{path}/{made['id']}/rotation").json
        assert shown["successor"]["id"] == told.json["successor"]["id"]
        listed = server.call("GET", f"{path}?state=superseded").json
        (page,) = (one for one in listed.values() if one)
        assert [one["id"] for one in page] == [made["id"]]


def test_this_api_too_tells_whose_secret_was_rotated(server):
    key = make(server, services=["own"])
    before = server.call("GET", "/manage/v1/account", token=key["key"])
    assert "deprecation" not in before.headers
    told = rotate(server, key).json
    after = server.call("GET", "/manage/v1/account", token=key["key"])
    began = int(datetime.fromisoformat(told["superseded_at"]).timestamp())
    assert (after.status, after.headers["deprecation"]) == (200, f"@{began}")
    ends = datetime.fromisoformat(told["ends_at"]).replace(microsecond=0)
    assert parsedate_to_datetime(after.headers["sunset"]) == ends
    new = server.call("GET", "/manage/v1/account", token=told["secret"])
    assert (new.status, "sunset" in new.headers) == (200, False)


def test_who_still_uses_the_old_secret_is_told(server):
    key = make(server)
    assert server.allows(key["key"])
    rotate(server, key)
    assert server.allows(key["key"])
    give_up = time.monotonic() + 30
    sources: list[dict[str, Any]] = []
    while not sources and time.monotonic() < give_up:  # they are written in batches
        sources = server.call("GET", f"{KEYS}/{key['id']}/rotation").json["sources"]
    (source,) = sources
    assert source["area"] == "/v1/storage"
    assert source["count"] >= 1
