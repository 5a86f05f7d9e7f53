"""What the report says of the Go programs that it measures beside: their version, or why not."""

import pytest
from benchmarks import access_proxies
from benchmarks.introspection import FOLDER
from benchmarks.machine import UnableError


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(access_proxies, "BUILT", tmp_path)
    return tmp_path


def test_versions_are_those_that_the_modules_require():
    told = access_proxies.versions()
    assert set(told) == {"oathkeeper", "authelia"}
    for name, version in told.items():
        locked = (FOLDER / name / "go.sum").read_text()
        assert f" v{version} h1:" in locked, name


def test_a_program_that_was_built_is_found(place):
    (place / "oathkeeper").write_bytes(b"program")
    (place / "oathkeeper.log").write_text("go: downloading example.com/module v1.0.0\n")
    assert access_proxies.built("oathkeeper") == place / "oathkeeper"


def test_one_that_could_not_be_built_tells_what_go_said_last(place):
    refused = "reading https://proxy.example/authelia.zip: 403 Forbidden"
    said = f"{refused}\ngo: downloading example.com/module v1.0.0\n\n"
    (place / "authelia.log").write_text(said)
    with pytest.raises(UnableError, match=f"^not built: {refused}$"):
        access_proxies.built("authelia")


def test_one_that_nobody_tried_to_build_says_how(place):
    with pytest.raises(UnableError, match="make rivals"):
        access_proxies.built("authelia")
