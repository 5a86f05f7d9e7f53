"""What one worker is made of, taken apart: a part that fails keeps no other from being closed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.store.test_shadows import asked, in_area
from tests.world import asking, run

from latchgate.config import load
from latchgate.core.reason import Reason
from latchgate.core.redact import Redactor
from latchgate.core.shadow import Outcome
from latchgate.serve.assembly import Assembly
from latchgate.store import shadows
from latchgate.store.errors import StoreError


def held(folder):
    """Return the files below a folder that this process has open."""
    found = []
    for one in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(one.readlink()))
        except FileNotFoundError:  # the listing's own
            continue
    return sorted(path for path in found if path.startswith(f"{folder}/"))


def take_away(server, *tables):
    """Make what writes to tables fail."""
    database = load(server.config).usage_database
    for table in tables:
        run(database, f"ALTER TABLE {table} RENAME TO away_{table}")


@pytest.fixture
def parts(server, monkeypatch):
    # Nothing is written before it is closed.
    monkeypatch.setattr(shadows, "BATCH_SECONDS", 3_600.0)
    return Assembly(load(server.config), Redactor())


def test_every_file_is_let_go_of(server, parts):
    assert held(server.folder)
    parts.close()
    assert held(server.folder) == []


def test_what_follows_a_part_that_fails_is_closed_too(server, parts):
    assert not parts.engine.decide(asking()).allowed  # a refusal to be written
    take_away(server, "refusal")
    with pytest.raises(StoreError, match="refusal"):
        parts.close()
    assert held(server.folder) == []


def test_the_first_fault_is_raised_and_the_others_logged(server, parts, caplog):
    assert not parts.engine.decide(asking()).allowed
    noted = in_area(Reason.CREDENTIAL_UNKNOWN)
    parts._databases.differences.note(Outcome.STRICTER, noted, asked(), 200, 1_800_000_000.0)
    take_away(server, "shadow_difference", "refusal")
    with pytest.raises(StoreError, match="shadow_difference"):
        parts.close()
    assert [one.getMessage() for one in caplog.records] == ["besides, Usage.close failed"]
    assert "no such table: refusal" in caplog.text
    assert held(server.folder) == []
