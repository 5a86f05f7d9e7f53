"""A new epoch after PostgreSQL was put back: over PostgreSQL in tests/cli/test_postgres.py."""

from __future__ import annotations

import pytest

from latchgate.config import load
from latchgate.serve.backup import BackupError
from latchgate.serve.restored import begin_anew


def test_a_file_is_put_back_by_restore_which_begins_anew_itself(tmp_path):
    (tmp_path / "latchgate.toml").write_text("")
    with pytest.raises(BackupError, match=r"latchgate\.db is put back by latchgate restore"):
        begin_anew(load(tmp_path / "latchgate.toml"), who="me")
    assert [one.name for one in tmp_path.iterdir()] == ["latchgate.toml"]
