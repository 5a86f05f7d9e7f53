"""A journal in PostgreSQL as an auditor reads it; in a file: tests/manage/test_chain.py."""

from __future__ import annotations

import secrets
import time
from contextlib import closing

import psycopg
import pytest
from tests.world import ACTOR

from latchgate.core.location import Postgres
from latchgate.core.model import Noun
from latchgate.core.secret import Secret
from latchgate.keyring import master
from latchgate.manage import audit, signing_keys
from latchgate.manage.chain import verify_database
from latchgate.store import evidence
from latchgate.store.errors import NotMigratedError
from latchgate.store.journal import Store
from latchgate.store.migrate import migrate

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
KEYS = 4


class Journal:
    """A journal with twenty rows and those of its signing keys, and the head signed at its end."""

    def __init__(self, place, folder):
        self.place = place
        with closing(Store(place, clock=time.time)) as store:
            key = master.create(folder / "master.key", secrets.token_bytes)
            signing_keys.ensure(store, ACTOR, key, entropy=secrets.token_bytes)
            for at in range(20):
                with store.change(ACTOR) as change:
                    change.note("test", Noun.USER, f"u-{at}", tenant_id=None, detail={"at": "ü"})
            self.head = audit.head(store, folder / "master.key", now=time.time())

    def faults(self, *statements, against=None):
        """Alter it, tell the numbers of the faults that are found, and put it back."""
        with psycopg.connect(self.place.uri.reveal()) as connection:
            for name in ("journal", "journal_head"):
                connection.execute(f"CREATE TABLE kept_{name} AS TABLE {name}")
            for statement in statements:
                connection.execute(statement)
        report = verify_database(self.place, against=against)
        with psycopg.connect(self.place.uri.reveal()) as connection:
            for name in ("journal", "journal_head"):
                connection.execute(f"DELETE FROM {name}")  # noqa: S608 - names of this test
                connection.execute(f"INSERT INTO {name} SELECT * FROM kept_{name}")  # noqa: S608
                connection.execute(f"DROP TABLE kept_{name}")
        assert report.sound == (not report.faults)
        return [one.n for one in report.faults]


@pytest.fixture(scope="module")
def journal(postgres, tmp_path_factory):
    with postgres.database() as database:
        place = Postgres(Secret(database.socket_uri))
        migrate(place, "main")
        yield Journal(place, tmp_path_factory.mktemp("journal"))


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch):
    monkeypatch.setattr(evidence, "_FETCH", 3)


def test_a_whole_journal_is_sound_with_and_without_a_head(journal):
    assert journal.faults() == []
    assert journal.faults(against=journal.head) == []
    report = verify_database(journal.place, against=journal.head)
    assert (report.rows, report.n, report.hash) == (20 + KEYS, 20 + KEYS, journal.head.hash)
    assert report.epoch == journal.head.epoch


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE journal SET actor = 'nobody' WHERE n = 9", [9]),
        ("UPDATE journal SET at = at + 1 WHERE n = 1", [1]),
        ("UPDATE journal SET at = 'NaN' WHERE n = 2", [2]),
        ("UPDATE journal SET tenant_id = 't-1' WHERE n = 24", [24]),
        ("UPDATE journal SET hash = previous WHERE n = 10", [10, 11]),
        ("DELETE FROM journal WHERE n = 5", [5]),
        ("UPDATE journal SET n = 0 WHERE n = 6", [0, 0, 1, 6]),
        ("UPDATE journal SET n = 99 WHERE n = 24", [24, 99, None]),
        ("UPDATE journal_head SET n = 7", [None]),
        ("DELETE FROM journal_head", [None]),
    ],
)
def test_what_was_done_to_it_is_told_by_its_number(journal, statement, told):
    assert journal.faults(statement) == told


def test_a_cut_end_is_told_by_the_signed_head_alone(journal):
    cut = (
        "DELETE FROM journal WHERE n > 20",
        "UPDATE journal_head SET (n, hash) = (SELECT n, hash FROM journal ORDER BY n DESC LIMIT 1)",
    )
    assert journal.faults(*cut) == []
    assert journal.faults(*cut, against=journal.head) == [21]


def test_one_snapshot_is_read_whatever_is_written_meanwhile(journal):
    with evidence.evidence(journal.place) as found:
        pages = found.pages()
        first = next(pages)
        with psycopg.connect(journal.place.uri.reveal()) as connection:
            connection.execute("UPDATE journal SET actor = 'nobody' WHERE n = 9")
        read = [row for page in (first, *pages) for row in page]
        with psycopg.connect(journal.place.uri.reveal()) as connection:
            connection.execute(
                "UPDATE journal SET actor = (SELECT actor FROM journal WHERE n = 8) WHERE n = 9"
            )
    assert len(read) == found.heads[0][0] == 20 + KEYS
    assert "nobody" not in {row[evidence.COLUMNS.index("actor")] for row in read}
    assert journal.faults() == []


def test_a_database_without_a_latchgate_is_told(postgres_database):
    place = Postgres(Secret(postgres_database.socket_uri))
    with pytest.raises(NotMigratedError), evidence.evidence(place):
        pass
