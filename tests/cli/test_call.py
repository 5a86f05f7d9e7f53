"""`latchgate call`: one request with a profile's credential, its answer as it came."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
from http.client import HTTPResponse

import pytest
from tests.cli.callers import KEY
from tests.client.stage import Said, Stage
from tests.world import environment

from latchgate.cli.answer import show

pytestmark = pytest.mark.enable_socket


def test_the_request_is_signed_and_the_body_printed_as_it_came(caller, stage):
    body = bytes(range(256))
    stage.answer = lambda _: Said(body=body)
    caller.shop(stage)
    caller("call", "shop", "get", "/v1/storage?a=1;b=é", "-o", "body")
    assert (caller.home / "body").read_bytes() == body
    (asked,) = stage.asked
    assert (asked.method, asked.path) == ("GET", "/v1/storage?a=1;b=%C3%A9")
    assert asked.header("Authorization") == f"Bearer {KEY}"


def test_json_goes_as_json_and_what_is_none_as_bytes(caller, stage):
    caller.shop(stage)
    (caller.home / "file").write_bytes(b"\x00\xff")
    caller("call", "shop", "POST", "/", "-d", '{"a": 1}', "-H", "X-One:  two ")
    caller("call", "shop", "PUT", "/", "-d", "@file")
    caller("call", "shop", "PUT", "/", "-d", "@-", "-H", "content-TYPE: text/plain", stdin=b"[1]")
    sent = [(one.method, one.body, one.header("Content-Type")) for one in stage.asked]
    assert sent == [
        ("POST", b'{"a": 1}', "application/json"),
        ("PUT", b"\x00\xff", "application/octet-stream"),
        ("PUT", b"[1]", "text/plain"),
    ]
    assert stage.asked[0].header("X-One") == "two"


def test_a_large_file_is_sent_as_it_is_read(caller, stage):
    caller.shop(stage)
    whole = bytes(1024 * 1024 + 1)
    (caller.home / "file").write_bytes(whole)
    caller("call", "shop", "PUT", "/", "-d", "@file")
    assert stage.asked[0].body == whole
    assert stage.asked[0].header("Content-Length") == str(len(whole))


def test_status_and_headers_are_printed_before_the_body_if_asked_for(caller, stage):
    stage.answer = lambda _: Said(201, b"made", {"X-Thing": "a\x1b[2Jb"})
    caller.shop(stage)
    lines = caller("call", "shop", "GET", "/", "-i").out.splitlines()
    assert lines[0] == "HTTP/1.1 201 Created"
    assert "X-Thing: a\\x1b[2Jb" in lines
    assert lines[-2:] == ["", "made"]


def test_json_prints_status_headers_and_body_in_one_value(caller, stage):
    caller.shop(stage)
    stage.answer = lambda _: Said(body=b'{"a": [1]}', headers={"X-A": "b"})
    told = json.loads(caller("call", "shop", "GET", "/", "--json").out)
    assert (told["status"], told["headers"]["x-a"], told["body"]) == (200, "b", {"a": [1]})
    stage.answer = lambda _: Said(body=b"\xff")
    assert json.loads(caller("call", "shop", "GET", "/", "--json").out)["base64"] == "/w=="


def test_a_refusal_is_told_on_standard_error_with_what_says_more(caller, stage):
    body = json.dumps({"error": f"no key {KEY}", "code": "invalid_api_key"}).encode()
    stage.answer = lambda _: Said(401, body, {"X-Latchgate-Decision": "d-17"})
    caller.shop(stage)
    done = caller("call", "shop", "GET", "/", "-o", "body", code=1)
    assert done.out == ""
    assert "AuthenticationFailed: WAYSCloud: no key … (401 invalid_api_key" in done.err
    assert "latchgate explain --id d-17 says more" in done.err
    assert not (caller.home / "body").exists()


def test_another_host_gets_nothing_and_the_own_ones_are_named(caller, stage):
    caller.shop(stage)
    with Stage() as other:
        done = caller("call", "shop", "GET", f"{other.url}/x", code=2)
        assert other.asked == []
    assert f"hosts ({stage.url}); nothing was sent" in done.err


def test_a_redirect_elsewhere_is_followed_without_the_credential_or_any_other_token(caller, stage):
    caller.shop(stage)
    with Stage() as other:
        stage.answer = lambda _: Said(302, b"", {"Location": f"{other.url}/x"})
        caller("call", "shop", "GET", "/", "-H", "X-Subject-Token: t0ken", "-H", "X-One: two")
        assert other.asked[0].header("X-One") == "two"
        assert stage.asked[0].header("X-Subject-Token") == "t0ken"
        assert KEY not in str(other.asked[0].headers)
        assert "t0ken" not in str(other.asked[0].headers)


def test_a_redirect_that_would_lose_the_body_is_told_and_not_followed(caller, stage):
    caller.shop(stage)
    stage.answer = lambda _: Said(307, b"", {"Location": f"{stage.url}/y\x1b"})
    done = caller("call", "shop", "POST", "/x", "-d", "{}", code=1)
    assert f"it answered 307, to {stage.url}/y\\x1b; not followed" in done.err
    assert [one.path for one in stage.asked] == ["/x"]


def test_a_server_that_is_not_there_is_named(caller):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Stage() as stage:
        caller.shop(stage)
    text = caller.profiles.read_text().replace(stage.url, f"http://127.0.0.1:{port}")
    caller.profiles.write_text(text)
    done = caller("call", "shop", "GET", "/x?token=1", code=1)
    assert f"http://127.0.0.1:{port}/x can't be reached" in done.err


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("GET", "v1"), "begins with no slash"),
        (("GET", "/a b"), "a space is written %20"),
        (("GET", "/a#b"), "a # %23"),
        (("GET", "/a\nb"), "line breaks"),
        (("GET", "https://me:pw@api.example/"), "the address holds a credential"),
        (("G T", "/"), "a method is a word"),
        (("GET", "/", "-H", "nothing"), "a header is written 'NAME: VALUE'"),
        (("GET", "/", "-H", "authorization: Bearer x"), "what the profile is for"),
        (("GET", "/", "-H", "X-Auth-Token: x"), "what the profile is for"),
        (("GET", "/", "-H", "Host: x"), "follows from the address"),
        (("GET", "/", "-H", "A: b", "-H", "a: c"), "is given twice"),
        (("GET", "/", "-H", "A: b\r\nC: d"), "goes into no header"),
        (("GET", "/", "-d", "@nothing"), "nothing: No such file"),
        (("GET", "/", "--json", "-i"), "--json goes without -i and -o"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else "",
)
def test_what_can_not_be_sent_as_it_was_typed_is_told_and_nothing_is_sent(
    caller, stage, typed, said
):
    caller.shop(stage)
    assert said in caller("call", "shop", *typed, code=2).err
    assert stage.asked == []


def test_an_output_that_can_not_be_written_is_told(caller, stage):
    caller.shop(stage)
    done = caller("call", "shop", "GET", "/", "-o", "no/such/folder", code=1)
    assert "no/such/folder: No such file" in done.err


def test_an_answer_that_breaks_off_is_no_answer_and_leaves_the_file_as_it_was(caller, stage):
    stage.answer = lambda _: Said(body=b"half", headers={"Content-Length": "100"})
    caller.shop(stage)
    (caller.home / "body").write_text("before")
    done = caller("call", "shop", "GET", "/", "-o", "body", code=1)
    assert "broke off after 4 of 100 bytes" in done.err
    assert (caller.home / "body").read_text() == "before"
    assert [one.name for one in caller.home.iterdir() if one.name.startswith(".body")] == []


class _Wire:
    """The bytes of an answer, as a connection gives them."""

    def __init__(self, body: bytes) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
        self._file = io.BytesIO(head.encode() + body)

    def makefile(self, _mode):
        return self._file


class _Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def on_a_terminal(monkeypatch, body: bytes) -> str:
    terminal = _Terminal(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", terminal)
    answer = HTTPResponse(_Wire(body))  # type: ignore[arg-type]
    answer.begin()
    show(answer, include=False, output=None)
    written: bytes = terminal.buffer.getvalue()  # type: ignore[attr-defined]
    return written.decode()


def test_a_terminal_is_shown_control_characters_and_takes_no_orders(monkeypatch):
    assert on_a_terminal(monkeypatch, b"a\r\n\tb\x1b[2J\xc3\xa9") == "a\n\tb\\x1b[2Jé\n"


@pytest.mark.parametrize("body", [b"a\x00b", b"\xff\xfe"], ids=["NUL", "no UTF-8"])
def test_a_terminal_is_given_nothing_that_is_no_text(monkeypatch, body, capsys):
    with pytest.raises(SystemExit):
        on_a_terminal(monkeypatch, body)
    assert "take -o FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("into", "said"),
    [("| head -c 1", "x"), (">/dev/full", "standard output: No space left on device")],
    ids=["a pipe that is closed", "a full disk"],
)
def test_an_output_that_takes_no_more_ends_the_command_and_is_no_fault(caller, stage, into, said):
    stage.answer = lambda _: Said(body=b"x" * 1_000_000)
    caller.shop(stage)
    command = f"{sys.executable} -m latchgate call shop GET / {into}"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        env=environment(HOME=str(caller.home), XDG_CONFIG_HOME=""),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
