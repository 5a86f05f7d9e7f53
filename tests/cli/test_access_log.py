"""`latchgate access-log` against a real server: what was written, and what comes while it waits."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading

import pytest
from tests.world import LATCHGATE, Server, until

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server.made(tmp_path_factory.mktemp("server") / "lg")
    with made.config.open("a") as file:
        file.write('\n[access_log]\ndirectory = "access"\n')
    made.start()
    yield made
    made.kill()


class Following:
    """`access-log --follow` in a process of its own; its lines as they come."""

    def __init__(self, server, *options):
        told = {"LATCHGATE_URL": server.addresses["api"], "LATCHGATE_TOKEN": server.token}
        self.process = subprocess.Popen(
            # Ctrl-C counts even where the tests themselves run in the background and ignore it.
            ["env", "--default-signal=INT", *LATCHGATE, "access-log", "--follow", *options],
            env={**os.environ, **told},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.lines: queue.Queue[str] = queue.Queue()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.out, self.complaints = self.process.stdout, self.process.stderr
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.out:
            self.lines.put(line.decode())

    def next(self):
        return self.lines.get(timeout=30)

    def interrupt(self):
        """End it as Ctrl-C does; returns its code and what it complained of."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=30)
        return code, self.complaints.read().decode()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.out.close()
        self.complaints.close()


def written(server, made):
    told = server.cli("access-log", "--credential", made["id"], "--format", "json")
    return told.json["rows"]


def test_following_shows_each_line_once_as_it_comes_oldest_first(server):
    made = server.create(scopes=["storage:read"])
    assert server.allows(made["key"], target="/v1/storage/before")
    until(lambda: len(written(server, made)) == 1, seconds=30, what="the first line")
    following = Following(server, "--credential", made["id"], "--format", "jsonl")
    try:
        paths = [json.loads(following.next())["path"]]
        for name in ("one", "two"):
            assert server.allows(made["key"], target=f"/v1/storage/{name}")
            paths.append(json.loads(following.next())["path"])
        assert not server.allows(made["key"], method="PUT", target="/v1/storage/three")
        refused = json.loads(following.next())
        assert paths == ["/v1/storage/before", "/v1/storage/one", "/v1/storage/two"]
        assert (refused["outcome"], refused["path"]) == ("refused", "/v1/storage/three")
        code, complaint = following.interrupt()
        assert (code, "Traceback" in complaint) == (0, False)
        assert following.lines.empty()
    finally:
        following.kill()


def test_following_for_people_names_what_they_look_for_and_only_refusals_when_asked_to(server):
    made = server.create(scopes=["storage:read"])
    following = Following(server, "--credential", made["id"], "--refused")
    try:
        assert server.allows(made["key"])
        assert not server.allows(made["key"], method="PUT", target="/v1/storage/a")
        at, outcome, reason, method, path, credential, _ = following.next().split("  ")
        assert at.endswith("Z")
        assert (outcome, reason, method) == ("refused", "scope_not_granted", "PUT")
        assert (path, credential) == ("/v1/storage/a", made["id"])
        assert following.interrupt()[0] == 0
    finally:
        following.kill()


@pytest.mark.parametrize("more", [("--format", "json"), ("--until", "2030-01-01T00:00:00Z")])
def test_what_has_an_end_can_not_be_followed(server, more):
    told = server.cli("access-log", "--follow", *more)
    assert told.code == 2
    assert "--follow" in told.err
