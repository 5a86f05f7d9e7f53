"""`latchgate whoami` with a profile, and the management profile among callers'; a real server."""

from __future__ import annotations

import json
import re
import ssl

import pytest
from tests.certificates import Authority
from tests.cli.test_profile import ADD, HERE
from tests.client.stage import Said, Stage

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

ACCOUNT = "/manage/v1/account"
USER = "/v2/api/ba/user"


@pytest.fixture
def managed(caller, server, monkeypatch):
    """A profile file of the management API, as `latchgate init` makes one."""
    file = caller.home / "profile.toml"
    file.write_text(f'url = "{server.addresses["api"]}"\ntoken = "{server.token}"\n')
    file.chmod(0o600)
    monkeypatch.setenv("LATCHGATE_PROFILE", str(file))
    return file


def test_a_key_of_latchgate_is_told_with_its_source_its_user_and_its_rights(caller, server):
    url = server.addresses["api"]
    caller(*ADD, "latchgate", "--url", url, *HERE, stdin=server.token.encode())
    own = server.cli("whoami", "--json").json
    told = caller("whoami", "p", "--json").json
    assert (told["cloud"], told["source"]) == ("Latchgate", "profile p")
    assert told["principal"] == own["user"]["id"]
    assert set(told["rights"]) == set(own["rights"])
    assert told["ends_at"] is None
    shown = caller("whoami", "p").out
    assert "principal" in shown
    assert server.token not in shown


def test_the_management_profile_is_one_of_callers_named_latchgate(caller, server, managed):
    told = caller("whoami", "latchgate", "--json").json
    assert told["source"] == str(managed)
    called = caller("call", "latchgate", "GET", ACCOUNT).json
    assert called["user"]["id"] == told["principal"]
    assert caller("token", "latchgate").out == f"{server.token}\n"
    assert caller("env", "latchgate", "--json").json == {
        "LATCHGATE_URL": server.addresses["api"],
        "LATCHGATE_TOKEN": server.token,
    }


def test_whoami_without_a_profile_stays_the_own_account(caller, server, managed):
    assert caller("whoami", "--json").json == server.cli("whoami", "--json").json


def test_verbs_that_manage_take_a_profile_of_the_cloud_latchgate_by_its_name(
    caller, server, monkeypatch
):
    url = server.addresses["api"]
    caller(*ADD, "latchgate", "--url", url, *HERE, stdin=server.token.encode())
    monkeypatch.setenv("LATCHGATE_PROFILE", "p")
    assert caller("whoami", "--json").json == server.cli("whoami", "--json").json
    assert caller("whoami", "latchgate", "--json").json["source"] == "profile p"
    (first, second) = caller("profile", "list", "--json").json["profiles"]
    assert (first["name"], first["from"], second["name"]) == ("latchgate", "profile p", "p")
    assert "names a profile" in caller("login", "--url", url, code=2).err


def test_a_profile_of_another_cloud_manages_nothing(caller, monkeypatch):
    caller(*ADD, "wayscloud", *HERE, stdin=b"wayscloud_storage_abc_def")
    monkeypatch.setenv("LATCHGATE_PROFILE", "p")
    done = caller("whoami", code=2)
    assert "profile p is one of wayscloud" in done.err


def test_a_refusal_of_the_server_names_the_decision_that_explains_it(caller, server, managed):
    caller(
        *(*ADD, "latchgate", "--url", server.addresses["api"], *HERE),
        stdin=server.token.replace("latchgate_manage_", "latchgate_manage_x").encode(),
    )
    done = caller("whoami", "p", code=1)
    assert "AuthenticationFailed: Latchgate" in done.err
    done = caller("call", "p", "GET", ACCOUNT, code=1)
    assert "AuthenticationFailed: Latchgate" in done.err
    (decision,) = re.findall(r"; decision (\w+)\)", done.err)
    assert f"\n  latchgate explain --id {decision} says more\n" in done.err
    assert server.token not in done.err


def test_files_of_teracloud_are_asked_of_the_users_own_node_whose_authority_is_named(caller):
    authority = Authority(caller.home / "ca")
    pair = authority.issue("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with Stage(tls=context) as node, Stage() as api:
        host = node.url.removeprefix("https://")
        account = {"result": 0, "user": "me", "node": host, "webdav_url": f"{node.url}/dav/"}
        body = json.dumps(account | {"capacity": 10}).encode()
        api.answer = lambda asked: Said(body=body if asked.path == USER else b"rest")
        node.answer = lambda _: Said(body=b"file")
        told = {"password": "pw", "api_key": "0123456789ABCDEF0123456789ABCDEF"}
        addresses = ("--url", api.url, "--origin", node.url, "--ca", "ca/ca.pem")
        stdin = json.dumps(told).encode()
        caller(*ADD, "teracloud", "--user", "me", *addresses, *HERE, stdin=stdin)
        assert caller("call", "p", "GET", "/dav/a").out == "file"
        assert caller("call", "p", "GET", "/v2/api/x").out == "rest"
        assert node.asked[0].header("X-TeraCLOUD-API-KEY") is None
        assert caller("whoami", "p", "--json").json["told"]["node"] == host
        (caller.home / "ca" / "ca.pem").write_text("")
        assert "ca.pem holds no PEM certificate" in caller("call", "p", "GET", "/dav/a", code=2).err
