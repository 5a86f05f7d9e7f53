"""The provider's Go SDK, which upctl and Terraform are built on."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from interop.upcloud.golang import go

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

SDK = "github.com/UpCloudLtd/upcloud-go-api/v8@v8.38.0"
PROGRAM = Path(__file__).parent / "sdk" / "main.go"


def test_it_makes_shows_lists_and_deletes_tokens_and_reads_errors(tmp_path, main, server):
    shutil.copy(PROGRAM, tmp_path)
    go(tmp_path, "mod", "init", "latchgate.test/sdk")
    go(tmp_path, "get", SDK)
    go(tmp_path, "build", "-o", "sdk", ".")
    env = os.environ | {"BASE_URL": server.addresses["api"]}
    env["TOKEN"] = main.headers["Authorization"].removeprefix("Bearer ")
    run = subprocess.run(
        [tmp_path / "sdk"], env=env, capture_output=True, text=True, check=False, timeout=120
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == "done\n"
