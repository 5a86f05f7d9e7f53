"""`latchgate scan --rules gitleaks`, read by gitleaks itself: all that we make is found by it."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from interop.upcloud.golang import go
from tests.core.test_leaks import KNOWN, SECRETS
from tests.world import latchgate

pytestmark = [pytest.mark.e2e]

MODULE = "github.com/zricethezav/gitleaks/v8@v8.21.2"


def test_gitleaks_finds_a_secret_of_every_kind_by_its_own_rule_and_no_other(tmp_path):
    go(tmp_path, "install", MODULE)
    made = latchgate("scan", "--rules", "gitleaks", cwd=tmp_path)
    assert (made.code, made.err) == (0, "")
    (tmp_path / "rules.toml").write_text(made.out)
    folder = tmp_path / "files"
    folder.mkdir()
    for name, secret in SECRETS.items():
        (folder / name).write_text(f'key = "{secret}"\nlonger = "x{"ab" * 60}"\nprefix_only_\n')
    run = subprocess.run(
        [
            *(tmp_path / "gitleaks", "dir", "--config", tmp_path / "rules.toml", "--no-banner"),
            *("--report-format", "json", "--report-path", tmp_path / "found.json", folder),
        ],
        env=os.environ | {"GITLEAKS_CONFIG": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 1, run.stderr  # its word for: found some
    found = json.loads((tmp_path / "found.json").read_text())
    told = {
        (one["RuleID"], one["File"].rpartition("/")[2], one["StartLine"], one["Secret"])
        for one in found
    }
    assert told == {
        (name.replace(".", "-").replace("_", "-"), name, 1, SECRETS[name]) for name in KNOWN
    }
