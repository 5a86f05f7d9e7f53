"""`latchgate policy`, as transcripts against a running server."""

from __future__ import annotations

import re

import pytest
from tests.world import WAYSCLOUD, latchgate

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

OTHER = 'provider = "other"\ntitle = "Other"\ndialect = "problem"\n'


@pytest.fixture
def files(tmp_path):
    """A configuration with the shipped policy and a second, empty provider."""
    (tmp_path / "latchgate.toml").write_text('policy = ["wayscloud.toml", "other.toml"]')
    (tmp_path / "wayscloud.toml").write_text(WAYSCLOUD)
    (tmp_path / "other.toml").write_text(OTHER)
    return tmp_path


@pytest.fixture(autouse=True)
def original(server):
    """Put the shipped policy back after a test that publishes another."""
    yield
    if server.call("GET", "/manage/v1/policy").json["files"] != {"wayscloud.toml": WAYSCLOUD}:
        server.call("PUT", "/manage/v1/policy", {"files": {"wayscloud.toml": WAYSCLOUD}})


def check(files, *more):
    return latchgate("policy", "check", "--config", str(files / "latchgate.toml"), *more)


def apply(server, files, *more):
    return server.cli("policy", "apply", "--config", str(files / "latchgate.toml"), *more)


def published(server):
    return server.call("GET", "/manage/v1/policy").json


# --- check


def test_sound_files_are_told_sound(files):
    done = check(files)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert re.fullmatch(r"files +other\.toml, wayscloud\.toml", lines[0])
    assert "storage" in lines[1]
    assert lines[-1] == "The policy files are sound."


def test_sound_files_are_told_sound_in_json(files):
    told = check(files, "--json").json
    assert told["files"] == ["other.toml", "wayscloud.toml"]
    assert "storage" in told["services"]
    assert told["areas"] > 6
    assert told["faults"] == []


def test_what_init_wrote_is_sound(server):
    assert latchgate("policy", "check", "--config", str(server.config)).code == 0


def test_checking_needs_no_server_and_no_token(files):
    done = latchgate(
        "policy", "check", "--config", str(files / "latchgate.toml"), env={"HOME": str(files)}
    )
    assert done.code == 0


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        (OTHER + "unknown = 1\n", "other.toml:4: unknown", "unknown key"),
        (OTHER.replace('"problem"', '"klingon"'), "other.toml:3: dialect", "'klingon'"),
        ("not = = toml\n", "other.toml:1: ", "not TOML"),
        (OTHER.replace('"other"', '"wayscloud"'), "other.toml:1: provider", "wayscloud.toml"),
        (
            OTHER + '\n[[areas]]\npath = "/v1/storage"\npublic = true\nmethods = ["GET"]\n',
            "other.toml:5: areas.path",
            "overlaps the area at wayscloud.toml:",
        ),
        (
            OTHER + '\n[[areas]]\npath = "/x"\npublic = true\nmethods = ["get"]\n',
            "other.toml:8: areas[0].methods",
            "'get'",
        ),
        ("a = " + "9" * 5_000, "other.toml:1: ", ""),
        ("a = " + "[" * 5_000, "other.toml:1: ", ""),
        ("", "other.toml:1: ", "provider"),
    ],
    ids=["key", "dialect", "toml", "provider", "overlap", "method", "number", "deep", "empty"],
)
def test_a_fault_is_told_by_file_line_and_key(server, files, text, where, says):
    (files / "other.toml").write_text(text)
    before = published(server)
    for done in (check(files), apply(server, files)):
        assert (done.code, done.out) == (1, "")
        assert "nothing was changed" in done.err
        (line,) = [line for line in done.err.splitlines() if line.startswith(where)]
        assert says in line
    as_json = check(files, "--json")
    assert as_json.code == 1
    (fault,) = [one for one in as_json.json["faults"] if one["file"] == "other.toml"][:1]
    assert set(fault) == {"file", "line", "key", "problem"}
    assert f"{fault['file']}:{fault['line']}: " in where + " "
    assert published(server) == before


def test_every_fault_of_every_file_is_told_at_once(files):
    (files / "other.toml").write_text(OTHER.replace('"problem"', '"klingon"'))
    (files / "wayscloud.toml").write_text(WAYSCLOUD.replace("encoded_slash", "encoded_slosh"))
    faults = check(files, "--json").json["faults"]
    assert {one["file"] for one in faults} == {"other.toml", "wayscloud.toml"}


def test_a_file_that_is_not_there_is_told_by_its_name(server, files):
    (files / "other.toml").unlink()
    for done in (check(files), apply(server, files), check(files, "--json")):
        assert (done.code, done.out) == (2, "")
        assert "other.toml: No such file" in done.err


def test_a_folder_is_no_file(files):
    (files / "other.toml").unlink()
    (files / "other.toml").mkdir()
    done = check(files)
    assert (done.code, done.out) == (2, "")
    assert "other.toml: " in done.err


def test_bytes_that_are_no_text_are_told_by_the_name_of_their_file(files):
    (files / "other.toml").write_bytes(b"\xff\xfe")
    done = check(files)
    assert (done.code, done.out) == (2, "")
    assert "not UTF-8" in done.err
    assert "other.toml" in done.err


def test_a_bad_configuration_is_told_by_file_line_and_key(server, files):
    (files / "latchgate.toml").write_text("\nunknown = 1")
    for done in (check(files), apply(server, files)):
        assert (done.code, done.out) == (2, "")
        assert f"{files / 'latchgate.toml'}:2: unknown: unknown key 'unknown'" in done.err


def test_a_configuration_that_is_not_there_is_told(tmp_path):
    done = latchgate("policy", "check", cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert ".latchgate/latchgate.toml" in done.err
    assert "latchgate init" in done.err


# --- apply


def test_applying_publishes_the_next_version_with_a_receipt(server, files):
    before = published(server)["version"]
    done = apply(server, files)
    assert (done.code, done.err) == (0, "")
    assert re.search(rf"^version +{before + 1}$", done.out, re.MULTILINE)
    assert re.search(r"^journal +\d+$", done.out, re.MULTILINE)
    assert re.search(r"^verifiers +[0-9a-f]{16} acknowledged$", done.out, re.MULTILINE)
    assert published(server)["files"] == {"wayscloud.toml": WAYSCLOUD, "other.toml": OTHER}


def test_applying_prints_json_for_programs(server, files):
    told = apply(server, files, "--json").json
    assert set(told) == {"version", "receipt"}
    assert told["version"] == published(server)["version"]


def test_what_was_applied_decides_the_next_request(server, files):
    area = '\n[[areas]]\npath = "/open"\npublic = true\nmethods = ["GET"]\n'
    (files / "other.toml").write_text(OTHER + area)
    assert not server.allows("x", target="/open")
    assert apply(server, files).code == 0
    made = server.create()
    assert server.allows(made["key"], target="/open")


def test_applying_needs_the_operators_scope(server, files):
    token = server.create("manage")["key"]
    before = published(server)
    done = server.cli(
        "policy", "apply", "--config", str(files / "latchgate.toml"), LATCHGATE_TOKEN=token
    )
    assert (done.code, done.out) == (1, "")
    assert "(403 insufficient_scope)" in done.err
    assert published(server) == before


def test_two_files_of_one_name_never_pass_as_one(server, tmp_path):
    for folder, text in (("a", WAYSCLOUD), ("b", OTHER)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.toml").write_text(text)
    (tmp_path / "latchgate.toml").write_text('policy = ["a/same.toml", "b/same.toml"]')
    before = published(server)
    for done in (check(tmp_path), apply(server, tmp_path)):
        assert done.code in {1, 2}
        assert "same.toml" in done.err
    assert published(server) == before
