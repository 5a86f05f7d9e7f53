"""`latchgate login`: a person allows it in a browser, and the command line goes on as they."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests import people
from tests.doors.console.relying import carried
from tests.doors.console.visitor import Visitor
from tests.people import Person
from tests.world import LATCHGATE, Run, Server, World, environment, latchgate, mode

from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

SECONDS = 60.0


@pytest.fixture(scope="module")
def world(server) -> Iterator[World]:
    made = World.beside(server)
    yield made
    made.close()


@pytest.fixture(scope="module")
def person(world) -> Person:
    return people.person(world, "own:account.read", "own:consents.read")


@contextmanager
def begun(home: Path, *args: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Start a login; gives its process and what it shows first."""
    with subprocess.Popen(
        [*LATCHGATE, "login", "--json", *args],
        env=environment(HOME=str(home)),
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as made:
        try:
            assert made.stdout is not None
            lines: list[str] = []
            while not lines or lines[-1] != "}\n":
                lines.append(made.stdout.readline())
                assert lines[-1], made.stderr.read() if made.stderr else ""
            yield made, json.loads("".join(lines))
        finally:
            made.kill()


def answered(server: Server, person: Person, shown: dict[str, str], decision: str) -> None:
    """Answer as the person in a browser, who was given the link."""
    visitor = Visitor(server)
    visitor.sign_in(person)
    visitor.see(shown["verification_uri_complete"].removeprefix(visitor.origin))
    page = visitor.send("/device", {"user_code": shown["user_code"]})
    visitor.page = page.body.decode()
    assert "Latchgate command line" in visitor.page
    assert visitor.send("/device/answer", carried(visitor) | {"decision": decision}).status == 200


def run(home: Path, *args: str) -> Run:
    return latchgate(*args, cwd=home, env={"HOME": str(home)})


def profile_of(home: Path) -> Path:
    return home / ".config/latchgate/profile.toml"


@pytest.fixture(scope="module")
def home(server: Server, person: Person, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the person signed in."""
    made = tmp_path_factory.mktemp("home")
    with begun(made, "--url", server.addresses["console"]) as (process, shown):
        answered(server, person, shown, "allow")
        out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    done = json.loads(out)
    assert (done["profile"], done["url"]) == (str(profile_of(made)), server.addresses["api"])
    return made


def test_whoever_signed_in_is_who_the_command_line_acts_for(home, person):
    assert mode(profile_of(home)) == 0o600
    told = tomllib.loads(profile_of(home).read_text())
    assert set(told) == {"url", "token", "issuer", "refresh_token", "expires_at"}
    done = run(home, "whoami", "--json")
    assert (done.code, done.json["user"]["id"]) == (0, person.id), done.err
    assert told["token"] not in done.out + done.err


def test_a_token_that_ended_is_renewed_and_the_new_one_kept(home, person):
    before = tomllib.loads(profile_of(home).read_text())
    text = profile_of(home).read_text()
    profile_of(home).write_text(text.replace(str(before["expires_at"]), "1.0"))
    done = run(home, "whoami", "--json")
    assert (done.code, done.json["user"]["id"]) == (0, person.id), done.err
    after = tomllib.loads(profile_of(home).read_text())
    assert after["token"] != before["token"]
    assert after["refresh_token"] != before["refresh_token"]
    assert after["expires_at"] > time.time()
    assert mode(profile_of(home)) == 0o600


def test_a_second_sign_in_is_refused_by_a_person_and_changes_nothing(server, person, home):
    before = profile_of(home).read_text()
    with begun(home) as (process, shown):
        assert shown["verification_uri"] == f"{server.addresses['console']}/device"
        answered(server, person, shown, "deny")
        _, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, "access_denied" in err) == (1, True)
    assert profile_of(home).read_text() == before


def test_a_sign_out_ends_every_token_and_removes_the_profile(world, home, person):
    told = profile_of(home).read_text()
    done = run(home, "logout", "--json")
    assert (done.code, done.json) == (0, {"removed": str(profile_of(home))}), done.err
    assert not profile_of(home).exists()
    grants = sa.select(schema.credential.c.revoked_at).where(
        schema.credential.c.owner_id == person.id,
        schema.credential.c.external_id == "latchgate-cli",
    )
    assert all(row.revoked_at is not None for row in world.all(grants))
    profile_of(home).write_text(told)
    profile_of(home).chmod(0o600)
    assert run(home, "whoami").code == 1
    profile_of(home).write_text(told.replace("expires_at = ", "expires_at = 1.0 #"))
    ended = run(home, "whoami")
    assert (ended.code, "run latchgate login again" in ended.err) == (1, True), ended.err


def test_a_provider_is_named_in_the_link(server, tmp_path):
    with begun(tmp_path, "--url", server.addresses["console"], "--provider", "acme") as (_, shown):
        assert shown["verification_uri_complete"].endswith("&provider=acme")


def test_a_token_of_another_sort_is_not_written_over(server, tmp_path):
    file = tmp_path / "profile.toml"
    file.write_text(f'url = "{server.addresses["api"]}"\ntoken = "{server.token}"\n')
    file.chmod(0o600)
    env = {"HOME": str(tmp_path), "LATCHGATE_PROFILE": str(file)}
    done = latchgate("login", "--url", server.addresses["console"], cwd=tmp_path, env=env)
    assert (done.code, "--replace" in done.err) == (2, True)
    out = latchgate("logout", cwd=tmp_path, env=env)
    assert (out.code, "nobody signed in" in out.err) == (1, True)
    assert server.token in file.read_text()
    token = latchgate("login", cwd=tmp_path, env=env | {"LATCHGATE_TOKEN": "t"})
    assert (token.code, "LATCHGATE_TOKEN" in token.err) == (2, True)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://login.example.com", "over https only"),
        ("login.example.com", "is not a URL"),
        ("https://login.example.com?a=b", "neither query nor fragment"),
        ("http://127.0.0.1:1", "can't be reached"),
    ],
)
def test_an_address_that_can_not_be_is_told(tmp_path, url, says):
    done = run(tmp_path, "login", "--url", url)
    assert done.code in {1, 2}
    assert says in done.err


def test_where_to_sign_in_must_be_known(server, tmp_path):
    done = run(tmp_path, "login")
    assert (done.code, "--url" in done.err) == (2, True)
    api = run(tmp_path, "login", "--url", server.addresses["api"])
    assert (api.code, "is not the console" in api.err) == (1, True)


@contextmanager
def pretender(issuer: str) -> Iterator[str]:
    """Something that says it is an issuer of another address."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = dict.fromkeys(
                ("token_endpoint", "device_authorization_endpoint", "revocation_endpoint"),
                "https://evil.example/",
            )
            body = json.dumps(told | {"issuer": issuer}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    made = HTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{made.server_port}"
    finally:
        made.shutdown()
        thread.join()
        made.server_close()


def test_an_issuer_that_says_it_is_another_is_not_believed(tmp_path):
    with pretender("https://login.example.com") as url:
        done = run(tmp_path, "login", "--url", url)
    assert (done.code, "says that it is https://login.example.com" in done.err) == (1, True)
    assert list(tmp_path.iterdir()) == []
