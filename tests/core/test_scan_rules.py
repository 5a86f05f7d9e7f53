"""Rules for other scanners: sound TOML, sound RE2, and they find what we make."""

from __future__ import annotations

import json
import subprocess
import tomllib

import pytest
from tests.core.test_leaks import KNOWN, SECRETS

from latchgate.core.scan_rules import gitleaks

PROGRAM = """\
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
)

func main() {
	var pairs [][2]string
	if err := json.NewDecoder(os.Stdin).Decode(&pairs); err != nil {
		panic(err)
	}
	for _, pair := range pairs {
		fmt.Println(regexp.MustCompile(pair[0]).FindStringSubmatch("key=\\"" + pair[1] + "\\"")[1])
	}
}
"""


def rules():
    return {rule["id"]: rule for rule in tomllib.loads(gitleaks(KNOWN))["rules"]}


def test_every_shape_has_a_rule():
    made = rules()
    assert set(made) == {name.replace(".", "-").replace("_", "-") for name in KNOWN}
    for name, shape in KNOWN.items():
        rule = made[name.replace(".", "-").replace("_", "-")]
        assert rule.get("keywords", []) == ([shape.anchor] if shape.anchor else [])
        assert "(?" not in rule["regex"]


@pytest.mark.e2e
def test_gos_own_regular_expressions_take_them(tmp_path):
    (tmp_path / "main.go").write_text(PROGRAM)
    pairs = [
        (rule["regex"], SECRETS[name]) for name, rule in zip(KNOWN, rules().values(), strict=True)
    ]
    done = subprocess.run(
        ["go", "run", "main.go"],
        cwd=tmp_path,
        input=json.dumps(pairs),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [secret for _, secret in pairs]
