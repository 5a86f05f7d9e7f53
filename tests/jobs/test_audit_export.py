from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from tests.manage.journals import Journal

from latchgate.jobs import audit_export
from latchgate.jobs.job import Export
from latchgate.manage import segments

DAY = 86_400
NOW = 1_800_000_000.0


class Exported:
    """A journal with its export, and a clock that is set."""

    def __init__(self, folder, keep=None):
        self.journal = Journal(folder)
        self.folder = folder / "segments"
        self.now = NOW
        export = Export(self.folder, DAY, keep)
        self.work: Any = SimpleNamespace(
            store=self.journal.store,
            master_key=self.journal.master_file,
            clock=lambda: self.now,
            export=export,
        )

    def run(self, later=0):
        self.now += later
        audit_export.run(self.work)
        return len(list(self.folder.glob("*.jsonl"))) if self.folder.exists() else 0


@pytest.fixture
def exported(tmp_path):
    made = Exported(tmp_path)
    yield made
    made.journal.close()


def test_a_segment_is_written_once_a_period(exported):
    assert exported.run() == 1
    exported.journal.note(2)
    assert exported.run(DAY - 1) == 1
    assert exported.run(1) == 2
    assert exported.run(3 * DAY) == 2  # nothing happened since
    exported.journal.note(1)
    assert exported.run(1) == 3


def test_a_full_segment_is_followed_without_waiting(exported, monkeypatch):
    monkeypatch.setattr(segments, "SEGMENT_ROWS", 3)
    exported.journal.note(6)
    total = exported.journal.n
    counts = [exported.run() for _ in range(6)]
    assert counts[-1] == -(-total // 3)


def test_a_clock_set_back_exports_early(exported):
    exported.run()
    exported.journal.note(1)
    assert exported.run(-5 * DAY) == 2


def test_what_fails_is_logged_and_tried_again(exported, caplog):
    exported.folder.write_text("in the way")
    with caplog.at_level(logging.ERROR):
        audit_export.run(exported.work)
    assert "will be tried again" in caplog.text
    exported.folder.unlink()
    assert exported.run() == 1


def test_segments_leave_when_they_were_kept_long_enough(tmp_path):
    exported = Exported(tmp_path, keep=2 * DAY)
    counts = []
    for _ in range(5):
        exported.journal.note(1)
        counts.append(exported.run(DAY))
    exported.journal.close()
    assert counts == [1, 2, 3, 3, 3]


def test_nothing_is_exported_unless_told(exported):
    exported.work.export = None
    assert exported.run() == 0
