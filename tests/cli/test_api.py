"""Where the command line finds its profile, and what it says when the API can't be had."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from tests.world import Server, free_port, latchgate

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

LIST = ("key", "list", "--json")


@pytest.fixture(scope="module")
def profile(server, tmp_path_factory):
    """A profile that leads to the server."""
    file = tmp_path_factory.mktemp("profile") / "profile.toml"
    write(file, server.addresses["api"], server.token)
    return file


def write(file, url, token, mode=0o600):
    file.write_text(f'url = "{url}"\ntoken = "{token}"\n')
    file.chmod(mode)


def run(tmp_path, *args, **env):
    return latchgate(*(args or LIST), cwd=tmp_path, env={"HOME": str(tmp_path), **env})


def test_url_and_token_from_the_environment_are_used(server, tmp_path):
    done = run(tmp_path, LATCHGATE_URL=server.addresses["api"], LATCHGATE_TOKEN=server.token)
    assert done.code == 0
    assert done.json["keys"]


@pytest.mark.parametrize("name", ["LATCHGATE_URL", "LATCHGATE_TOKEN"])
def test_one_of_the_two_alone_is_refused(tmp_path, name):
    done = run(tmp_path, **{name: "http://127.0.0.1:1"})
    assert (done.code, done.out) == (2, "")
    assert "set both LATCHGATE_URL and LATCHGATE_TOKEN" in done.err


def test_a_profile_is_found_by_name(profile, tmp_path):
    assert run(tmp_path, LATCHGATE_PROFILE=str(profile)).code == 0


def test_a_profile_is_found_where_init_puts_it(profile, tmp_path):
    (tmp_path / ".latchgate").mkdir()
    copied = tmp_path / ".latchgate/profile.toml"
    copied.write_bytes(profile.read_bytes())
    copied.chmod(0o600)
    assert run(tmp_path).code == 0


def test_a_profile_is_found_in_the_home(profile, tmp_path):
    folder = tmp_path / ".config/latchgate"
    folder.mkdir(parents=True)
    (folder / "profile.toml").write_bytes(profile.read_bytes())
    (folder / "profile.toml").chmod(0o600)
    assert run(tmp_path).code == 0


def test_a_profile_is_found_beside_the_configuration(server, tmp_path):
    write(tmp_path / "profile.toml", server.addresses["api"], server.token)
    assert run(tmp_path, LATCHGATE_CONFIG=str(tmp_path / "latchgate.toml")).code == 0


def test_the_environment_goes_before_a_profile(server, tmp_path):
    (tmp_path / ".latchgate").mkdir()
    write(tmp_path / ".latchgate/profile.toml", "http://127.0.0.1:1", "wrong")
    done = run(tmp_path, LATCHGATE_URL=server.addresses["api"], LATCHGATE_TOKEN=server.token)
    assert done.code == 0


def test_without_any_profile_the_ways_to_one_are_told(tmp_path):
    done = run(tmp_path)
    assert (done.code, done.out) == (2, "")
    for way in ("latchgate init", "LATCHGATE_PROFILE", "LATCHGATE_URL", "LATCHGATE_TOKEN"):
        assert way in done.err


def test_a_named_profile_that_is_not_there_is_not_passed_over(tmp_path):
    done = run(tmp_path, LATCHGATE_PROFILE=str(tmp_path / "nothing.toml"))
    assert done.code == 2
    assert "nothing.toml" in done.err


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o666, 0o620, 0o601])
def test_a_profile_that_others_could_touch_is_not_used(profile, tmp_path, mode):
    copied = tmp_path / "profile.toml"
    copied.write_bytes(profile.read_bytes())
    copied.chmod(mode)
    done = run(tmp_path, LATCHGATE_PROFILE=str(copied))
    assert (done.code, done.out) == (2, "")
    assert f"chmod 600 {copied}" in done.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"not toml", "Expected"),
        (b"", "missing required field"),
        (b'url = "http://127.0.0.1:1"', "token"),
        (b'url = "http://127.0.0.1:1"\ntoken = 7', "token"),
        (b'url = "http://127.0.0.1:1"\ntoken = "t"\nmore = 1', "more"),
        (b"\xff\xfe", "utf-8"),
        (b"a = " + b"9" * 5_000, ""),
        (b"a = " + b"[" * 5_000, ""),
    ],
    ids=["words", "empty", "no token", "number", "unknown", "bytes", "long number", "deep"],
)
def test_a_profile_that_cannot_be_read_is_told_by_its_name(tmp_path, text, says):
    file = tmp_path / "profile.toml"
    file.write_bytes(text)
    file.chmod(0o600)
    done = run(tmp_path, LATCHGATE_PROFILE=str(file))
    assert (done.code, done.out) == (2, "")
    assert str(file) in done.err
    assert says in done.err


def test_a_folder_is_no_profile(tmp_path):
    (tmp_path / "folder").mkdir(mode=0o700)
    done = run(tmp_path, LATCHGATE_PROFILE=str(tmp_path / "folder"))
    assert (done.code, done.out) == (2, "")
    assert "folder" in done.err


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1:8420",
        "http://api.example",
        "http://127.0.0.1.evil.example",
        "http://localhost@evil.example",
        "http://[2001:db8::1]:8420",
    ],
)
def test_no_token_goes_to_another_machine_in_the_clear(tmp_path, url):
    done = run(tmp_path, LATCHGATE_URL=url, LATCHGATE_TOKEN="t")
    assert (done.code, done.out) == (2, "")
    assert "https only" in done.err


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "127.0.0.1:8420",
        "ftp://127.0.0.1",
        "http://",
        "http://[::1",
        "http://127.0.0.1:abc",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:-1",
        "file:///etc/passwd",
        "http://127.0.0.1:1\n",
        "http://127.0.0.1\x7f:1",
    ],
)
def test_what_is_no_url_is_refused_by_its_text(tmp_path, url):
    done = run(tmp_path, LATCHGATE_URL=url, LATCHGATE_TOKEN="t")
    assert done.code in {1, 2}
    assert done.out == ""
    assert "latchgate: " in done.err


@pytest.mark.parametrize("token", ["é", "a\nb", "a b", "\x7f", "\udcff", "x" * 100_000])
def test_a_token_that_no_header_can_carry_is_refused(server, tmp_path, token):
    done = run(tmp_path, LATCHGATE_URL=server.addresses["api"], LATCHGATE_TOKEN=token)
    assert done.code in {1, 2}
    assert done.out == ""
    assert "latchgate: " in done.err
    assert token not in done.err


def test_a_server_that_is_not_there_is_told_by_its_address(tmp_path):
    url = f"http://127.0.0.1:{free_port()}"
    done = run(tmp_path, LATCHGATE_URL=url, LATCHGATE_TOKEN="t")
    assert (done.code, done.out) == (1, "")
    assert f"{url} can't be reached" in done.err


def test_a_wrong_token_is_refused_with_its_decision(server, tmp_path):
    done = run(tmp_path, LATCHGATE_URL=server.addresses["api"], LATCHGATE_TOKEN="wrong")
    assert (done.code, done.out) == (1, "")
    assert "The credential is not valid. (401 authentication_failed)" in done.err
    assert "latchgate explain --id " in done.err


def test_a_url_may_end_in_a_slash(server, tmp_path):
    url = server.addresses["api"] + "/"
    assert run(tmp_path, LATCHGATE_URL=url, LATCHGATE_TOKEN=server.token).code == 0


def test_no_proxy_of_the_environment_gets_the_token(server, tmp_path):
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "ALL_PROXY"), "http://127.0.0.1:1")
    done = run(
        tmp_path, LATCHGATE_URL=server.addresses["api"], LATCHGATE_TOKEN=server.token, **proxies
    )
    assert done.code == 0


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, "text/html", b"<html>"),
        (502, "text/html", b"<html>Bad gateway</html>"),
        (200, "application/json", b""),
        (500, "application/json", b"[]"),
        (403, "application/problem+json", b'{"detail": 7}'),
        (404, "application/json", b'"text"'),
        (422, "application/problem+json", b'{"errors": "x", "detail": "d", "code": "c"}'),
        (422, "application/problem+json", b'{"errors": [{"f": 1}], "detail": "d", "code": "c"}'),
        (302, "text/plain", b""),
        (200, "application/json", b"null"),
        (200, "application/json", b"{}"),
        (200, "application/json", b"\xff"),
        (400, "application/json", b'{"detail": "\\u001b[31mred"}'),
    ],
)
def test_whatever_something_else_answers_is_told_and_not_thrown(tmp_path, status, kind, body):
    class Other(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    other = HTTPServer(("127.0.0.1", 0), Other)
    thread = threading.Thread(target=other.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{other.server_port}"
        done = run(tmp_path, "key", "list", LATCHGATE_URL=url, LATCHGATE_TOKEN="t")
    finally:
        other.shutdown()
        thread.join()
        other.server_close()
    assert done.code == 1
    assert "latchgate: " in done.err
    assert "\x1b" not in done.err


def test_a_profile_that_init_wrote_works_as_it_is(tmp_path):
    ports = [f"127.0.0.1:{free_port()}" for _ in range(3)]
    options = ("--listen", ports[0], "--console-listen", ports[1], "--verify-listen", ports[2])
    made = run(tmp_path, "init", "--json", *options)
    assert made.code == 0
    server = Server(tmp_path / ".latchgate", made.json["token"], made.json)
    server.start()
    try:
        done = run(tmp_path)
        assert [key["name"] for key in done.json["keys"]] == ["first token"]
    finally:
        server.kill()
    assert [path.name for path in tmp_path.iterdir()] == [".latchgate"]
