"""`latchgate edge`: what can't be is said before anything starts, and the token is no argument."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from latchgate.cli.edge import edge

UPSTREAM = ["--upstream", "https://api.example.com"]
TOKEN = {"LATCHGATE_TOKEN": "latchgate_verifier_secret"}


@pytest.mark.parametrize(
    ("options", "env", "said"),
    [
        ([], TOKEN, "--upstream"),
        (UPSTREAM, {}, "--token-file, or in LATCHGATE_TOKEN"),
        ([*UPSTREAM, "--token-file", "gone"], {}, "there is no such file"),
        (["--upstream", "http://api.example.com"], TOKEN, "over https only"),
        ([*UPSTREAM, "--node", "two words"], TOKEN, "node must be"),
        ([*UPSTREAM, "--lease", "0"], TOKEN, "--lease"),
        ([*UPSTREAM, "--stale-while-unreachable", "1.5"], TOKEN, "longer than the lease"),
        ([*UPSTREAM, "--trusted", "everybody"], TOKEN, "everybody"),
        ([*UPSTREAM, "--listen", "8422"], TOKEN, "8422"),
        ([*UPSTREAM, "--ca", "gone.pem"], TOKEN, "gone.pem"),
    ],
)
def test_what_cannot_be_is_refused_as_a_wrong_call(options, env, said, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("LATCHGATE_TOKEN", "LATCHGATE_URL", "LATCHGATE_CA"):
        monkeypatch.delenv(name, raising=False)
    done = CliRunner().invoke(edge, options, env=env)
    assert done.exit_code == 2, done.output
    assert said in done.output
    assert "secret" not in done.output


def test_the_token_is_never_an_argument():
    assert not [name for option in edge.params for name in option.opts if name == "--token"]
