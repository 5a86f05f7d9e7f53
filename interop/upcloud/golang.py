"""Go programs of the provider's, installed from the Go module proxy where it has them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

MINUTES = 10


def go(folder: Path, *arguments: str) -> None:
    """Run the go command in a folder; the test is skipped, with its last word, where it fails."""
    if shutil.which("go") is None:
        pytest.skip("there is no go command")
    run = subprocess.run(
        ["go", *arguments],
        cwd=folder,
        env=os.environ | {"GOBIN": str(folder), "GOTOOLCHAIN": "auto", "GOFLAGS": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=MINUTES * 60,
    )
    if run.returncode != 0:
        pytest.skip(f"go {' '.join(arguments)}: {(run.stderr.strip() or '-').splitlines()[-1]}")
