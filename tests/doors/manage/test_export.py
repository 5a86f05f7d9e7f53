"""A tenant's export over HTTP: whole, loadable, and opening the same doors."""

from __future__ import annotations

import hashlib
import json

import pytest
from tests.world import Server, latchgate

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
FORM = {"format": "latchgate-export-1"}


def test_an_administrators_export_is_whole_and_loads_and_its_keys_decide_as_before(
    server, world, tmp_path
):
    key = server.create("storage", scopes=["storage:read"])
    answer = server.call("POST", "/manage/v1/export", FORM)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["cache-control"] == "no-store"
    assert key["key"].encode() not in answer.body
    *lines, end = answer.body.splitlines(keepends=True)
    whole = {"rows": len(lines) - 1, "sha256": hashlib.sha256(b"".join(lines)).hexdigest()}
    assert json.loads(end) == whole
    file = tmp_path / "mine.jsonl"
    file.write_bytes(answer.body)
    new = Server(tmp_path / "new", server.token, server.first)
    config, anywhere = ("--config", str(new.config)), "127.0.0.1:0"
    where = ("--listen", anywhere, "--console-listen", anywhere, "--verify-listen", anywhere)
    for command in (
        ("init", "--no-database", *where),
        ("load", str(file)),
        ("signing-key", "replace", "--new-master"),
    ):
        done = latchgate(*command, *config)
        assert done.code == 0, done.err
    new.start()
    try:
        applied = new.cli("policy", "apply", *config)
        assert applied.code == 0, applied.err
        assert new.allows(key["key"])
        assert not new.allows(key["key"], method="PUT")
    finally:
        new.kill()


@pytest.mark.parametrize("body", [{}, {"format": "csv"}, {**FORM, "tenant": "t-other"}, []])
def test_a_form_that_is_not_known_is_told_and_nothing_is_noted(server, world, body):
    head = world.head()
    assert server.call("POST", "/manage/v1/export", body).status == 422
    assert world.head() == head
