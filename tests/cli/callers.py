"""Somebody who calls clouds with the command line, from a home of their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner
from tests.client.stage import Stage
from tests.world import Run

from latchgate.cli import main

KEY = "wayscloud_storage_abc123_s3cr3tOfMine"


@dataclass(frozen=True)
class Caller:
    """Runs the command line in this process, as the program itself would be run."""

    home: Path

    def __call__(self, *args: str, stdin: bytes = b"", code: int = 0) -> Run:
        """Run a verb, which is to end with `code`."""
        done = CliRunner().invoke(main, list(args), input=stdin, prog_name="latchgate")
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        assert done.exit_code == code, (args, done.stdout, done.stderr)
        return Run(done.exit_code, done.stdout, done.stderr)

    @property
    def profiles(self) -> Path:
        """The file of profiles."""
        return self.home / ".config" / "latchgate" / "profiles.toml"

    def shop(self, stage: Stage, *more: str, key: str = KEY) -> None:
        """Make a profile `shop` of WAYSCloud at a stage."""
        added = ("profile", "add", "shop", "--cloud", "wayscloud", "--url", stage.url)
        self(*added, "--from", "stdin", "--store", "file", *more, stdin=key.encode())
