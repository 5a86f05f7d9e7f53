"""The job lets go of what the configuration does not keep of the access log."""

from __future__ import annotations

import logging
from types import SimpleNamespace

from tests.store.accesses import DAY, NOON

from latchgate.jobs import HERE
from latchgate.jobs.access_log import ACCESS_LOG
from latchgate.jobs.job import AccessFiles
from latchgate.store.access_files import listed, name_of


def work(kept):
    return SimpleNamespace(access_log=kept, clock=lambda: NOON)


def test_it_is_one_of_the_jobs_and_keeps_what_is_configured(tmp_path):
    assert ACCESS_LOG in HERE
    ACCESS_LOG.run(work(None))
    for back in range(5):
        (tmp_path / name_of(int(NOON // DAY) - back, 1, 0)).write_bytes(b"x" * 100)
    ACCESS_LOG.run(work(AccessFiles(tmp_path, days=2, max_bytes=1_000)))
    assert len(listed(tmp_path)) == 3
    ACCESS_LOG.run(work(AccessFiles(tmp_path, days=2, max_bytes=100)))
    assert len(listed(tmp_path)) == 1


def test_a_folder_that_cannot_be_read_is_told(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.ERROR):
        ACCESS_LOG.run(work(AccessFiles(tmp_path / "file", days=2, max_bytes=100)))
    assert "can't be deleted" in caplog.text
