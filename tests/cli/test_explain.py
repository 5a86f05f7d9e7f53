"""`latchgate explain`, as transcripts against a running server."""

from __future__ import annotations

import re

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

URL = "https://api.example/v1/storage/bucket/object"


@pytest.fixture(scope="module")
def made(server):
    """A key that may read storage and nothing else, from one network."""
    return server.create(scopes=["storage:read"], allowed_ip_ranges=["192.0.2.0/24"])


def bearer(made):
    return f"Authorization: Bearer {made['key']}"


def test_an_allowed_request_is_explained_in_words(server, made):
    done = server.cli("explain", "GET", URL, "-H", bearer(made), "--client", "192.0.2.9")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "request   GET api.example/v1/storage/bucket/object"
    assert lines[1] == "decision  allowed"
    assert lines[2] == "reason    allowed"
    assert all(line.startswith("  ok  ") for line in lines[3:-1])
    assert lines[-1] == "change  None: the request is allowed."
    assert made["key"] not in done.out


def test_a_refused_request_is_explained_with_the_smallest_change(server, made):
    done = server.cli("explain", "PUT", URL, "-H", bearer(made), "--client", "192.0.2.9")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[1] == "decision  refused (403 INSUFFICIENT_PERMISSIONS)"
    assert lines[2] == "reason    scope_not_granted"
    steps = [line for line in lines if line.startswith(("  ok  ", "  NO  "))]
    assert [line[2:4] for line in steps] == ["ok"] * (len(steps) - 1) + ["NO"]
    assert "storage:write" in lines[-1]


def test_the_client_address_counts(server, made):
    done = server.cli("explain", "GET", URL, "-H", bearer(made), "--client", "198.51.100.1")
    assert "reason    network_not_allowed" in done.out
    assert "198.51.100.1" in done.out


def test_an_explanation_is_json_for_programs(server, made):
    told = server.cli("explain", "GET", URL, "-H", bearer(made), "--json").json
    assert (told["allowed"], told["reason"]) == (False, "client_address_invalid")
    assert {"steps", "change", "policy_version", "journal", "area", "scope"} <= set(told)


def test_headers_may_come_from_standard_input(server, made):
    stdin = f"{bearer(made)}\r\n\nX-Other: 1\n".encode()
    arguments = ("explain", "GET", URL, "-H", "@-", "--client", "192.0.2.9", "--json")
    assert server.cli(*arguments, stdin=stdin).json["allowed"] is True


def test_headers_from_both_places_go_together(server, made):
    arguments = ("explain", "GET", URL, "-H", bearer(made), "-H", "@-", "--json")
    told = server.cli(*arguments, stdin=b"X-HTTP-Method-Override: DELETE\n").json
    assert told["reason"] == "method_invalid"


@pytest.mark.parametrize("stdin", [b"", b"\n\n"])
def test_no_header_at_all_is_a_request_without_a_key(server, stdin):
    told = server.cli("explain", "GET", URL, "-H", "@-", "--json", stdin=stdin).json
    assert told["reason"] == "credential_missing"


@pytest.mark.parametrize("stdin", [b"no colon\n", b": value\n"])
def test_standard_input_that_holds_no_header_is_refused(server, stdin):
    done = server.cli("explain", "GET", URL, "-H", "@-", stdin=stdin)
    assert (done.code, done.out) == (2, "")
    assert "'NAME: VALUE'" in done.err


@pytest.mark.parametrize("stdin", [b"A: \xff\n", b"\xff\xfe: b\n", b"A: \x00\n"])
def test_standard_input_of_any_bytes_is_explained_or_refused(server, stdin):
    done = server.cli("explain", "GET", URL, "-H", "@-", stdin=stdin)
    assert done.code in {0, 1, 2}


def test_one_header_in_two_spellings_is_refused(server, made):
    done = server.cli("explain", "GET", URL, "-H", bearer(made), "-H", "authorization: x")
    assert done.code in {1, 2}
    assert done.out == ""
    assert "twice" in done.err


def test_a_header_given_twice_is_never_silently_one(server, made):
    done = server.cli("explain", "GET", URL, "-H", "Authorization: x", "-H", bearer(made), "--json")
    assert done.code != 0 or done.json["reason"] == "credential_repeated"


def test_a_value_keeps_its_spaces(server, made):
    told = server.cli(
        "explain", "GET", URL, "-H", f"Authorization:  Bearer {made['key']}", "--json"
    )
    assert told.json["reason"] == "credential_malformed"


def test_a_refusal_is_explained_by_its_id(server, made):
    refused = server.verdict(made["key"], method="PUT")
    done = server.cli("explain", "--id", refused["decision"])
    assert done.code == 0
    assert "reason    scope_not_granted" in done.out
    assert (
        server.cli("explain", "--id", refused["decision"], "--json").json["id"]
        == (refused["decision"])
    )


@pytest.mark.parametrize("decision", ["nothing", "", "../keys", "a b", "x" * 3_000])
def test_a_refusal_that_is_not_kept_is_told(server, decision):
    done = server.cli("explain", f"--id={decision}")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("latchgate: ")


@pytest.mark.parametrize(
    ("method", "url", "reason"),
    [
        ("GET", "/v1/storage/a", "credential_missing"),
        ("get", "/v1/storage/a", "method_invalid"),
        ("GET", "/v1/storage/../a", "path_ambiguous"),
        ("GET", "/nothing", "no_area"),
        ("PATCH", "/v1/storage/a", "method_not_allowed"),
    ],
)
def test_any_request_can_be_tried(server, method, url, reason):
    done = server.cli("explain", method, url)
    assert done.code == 0
    assert f"reason    {reason}" in done.out
    assert re.search(r"^change {2}\S", done.out, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("G" * 50, "/"), "method"),
        (("GET", "/", "--client", "nobody"), "client: 'nobody'"),
        (("GET", "/" + "x" * 17_000), "url"),
    ],
)
def test_what_cannot_be_tried_is_told_by_its_field(server, arguments, says):
    done = server.cli("explain", *arguments)
    assert (done.code, done.out) == (1, "")
    assert says in done.err


def test_text_in_a_request_never_drives_the_terminal(server):
    done = server.cli("explain", "GE\x1bT", "https://a\x1b[2J/v1/\x1b]0;x\x07", "-H", "A: \x1b")
    assert "\x1b" not in done.out + done.err
    assert "\x07" not in done.out + done.err
