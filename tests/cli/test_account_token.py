"""`latchgate account token`, `account password` and `basic` against the real server."""

from __future__ import annotations

import pytest
from tests.asking import allows, basic
from tests.world import Server

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server.started(tmp_path_factory.mktemp("server") / "lg")
    yield made
    made.kill()


@pytest.mark.parametrize(
    "options",
    [
        ("--name", "x"),
        ("--expires-in", "1h"),
        ("--name", "x", "--expires-in", "1h", "--expires-at", "2100-01-01T00:00:00Z"),
        ("--name", "x", "--expires-in", "1h", "--no-ip-ranges", "--allow-ip-range", "::/0"),
        ("--name", "x", "--expires-in", "1h", "--no-scopes", "--scope", "upcloud:read"),
    ],
)
def test_a_wrong_call_ends_with_two_and_makes_nothing(server, options):
    assert server.cli("account", "token", "create", *options).code == 2
    assert server.cli("account", "token", "list", "--json").json["tokens"] == []


def test_left_out_ranges_mean_everywhere_not_nowhere(server):
    made = server.cli(
        *("account", "token", "create", "--name", "t", "--expires-in", "1h", "--json")
    ).json
    assert made["allowed_ip_ranges"] is None
    bearer = {"Authorization": f"Bearer {made['token']}"}
    assert allows(server, "/1.3/server", bearer)
    assert server.cli("account", "token", "delete", made["id"]).code == 0
    assert not allows(server, "/1.3/server", bearer)


def test_passwords_come_from_standard_input_only(server):
    first = server.first["admin"]["password"]
    for typed in (b"", b"one line only\n", b"a\nb\nc\n"):
        done = server.cli("account", "password", "change", stdin=typed)
        assert (done.code, "two lines" in done.err) == (2, True)
    weak = server.cli(
        "account", "password", "change", stdin=f"{first}\nadmin.admin.admin\n".encode()
    )
    assert (weak.code, "new_password" in weak.err) == (1, True)
    good = f"{first}\nseven otters juggle lanterns\n".encode()
    assert server.cli("account", "password", "change", stdin=good).code == 0


def test_basic_is_enabled_shown_reissued_and_disabled(server):
    made = server.cli("basic", "enable", "--login", "cli", "--json").json
    assert allows(server, "/dav/x", basic("cli", made["password"]))
    assert made["password"] not in server.cli("basic", "show").out
    again = server.cli("basic", "reissue", "--json").json
    assert not allows(server, "/dav/x", basic("cli", made["password"]))
    assert server.cli("basic", "disable").code == 0
    assert not allows(server, "/dav/x", basic("cli", again["password"]))
    wrong = server.cli("basic", "show", "--namespace", "nowhere")
    assert (wrong.code, "namespace" in wrong.err) == (1, True)
