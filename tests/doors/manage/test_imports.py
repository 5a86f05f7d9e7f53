"""Imports over HTTP as a file of JSON lines: the same as a page, its options in the query."""

from __future__ import annotations

import secrets

import msgspec
import pytest
from tests.world import http_request

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

KIND = "kind=wayscloud.service_key"


def line(**more) -> bytes:
    key = f"wayscloud_storage_k{secrets.token_hex(6)}_{secrets.token_hex(16)}"
    told = {"secret": key, "owner": "admin", "services": ["storage"], **more}
    return msgspec.json.encode(told)


def send(server, query, body, kind="application/jsonl"):
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": kind}
    url = f"{server.addresses['api']}/manage/v1/imports?{query}"
    return http_request("POST", url, headers=headers, body=body)


@pytest.mark.parametrize("kind", ["application/jsonl", "application/x-ndjson; charset=utf-8"])
def test_a_file_is_sent_as_it_is_and_its_faults_are_told_by_line(server, kind):
    body = b"\n".join([line(), b"", b"{", line(owner="nobody"), line(), b""])
    answer = send(server, KIND, body, kind)
    assert answer.status == 200, answer.body
    assert (answer.json["imported"], answer.json["skipped"]) == (2, 0)
    assert [one["line"] for one in answer.json["failed"]] == [3, 4]
    assert send(server, KIND, body, kind).json["skipped"] == 2


def test_options_stand_in_the_query(server, world):
    head = world.head()
    answer = send(server, f"{KIND}&dry_run=true&owner=admin", line())
    assert (answer.json["imported"], answer.json["dry_run"]) == (1, True)
    assert world.head() == head


@pytest.mark.parametrize(
    ("query", "body", "status", "field"),
    [
        (f"{KIND}&dry_run=yes", b"{}", 422, "dry_run"),
        (f"{KIND}&scope=a", b"{}", 422, "scope"),
        (f"{KIND}&{KIND}", b"{}", 422, "query"),
        (KIND, b"{}\n" * 1001, 422, "lines"),
        (KIND, b"\xff", 400, None),
    ],
)
def test_what_can_not_be_taken_changes_nothing(server, world, query, body, status, field):
    head = world.head()
    answer = send(server, query, body)
    assert answer.status == status, answer.body
    if field is not None:
        assert [one["field"] for one in answer.json["errors"]] == [field]
    assert world.head() == head


def test_a_page_takes_no_options_from_the_query(server):
    answer = send(server, KIND, b'{"lines": ["{}"]}', "application/json")
    assert answer.status == 422
