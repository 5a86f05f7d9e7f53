"""The file of figures has one writer, which destroys nobody else's section."""

import re

import pytest
from benchmarks import results
from soak.run import told
from soak.steps import Figures

BENCH = (
    "## 2026-11-20 10:00 UTC, commit aaaaaaaaaa\n\nverify door\n\n### Start and memory\n\nmore\n"
)
AUDIT = "## Audit, 2026-11-20 10:00 UTC\n\naudited\n"


def soaked(step, date, *figures):
    facts = {"date": date, "commit": "cccccccccc", "machine": "two cores"}
    return told(step, Figures("a run", {"found": ", ".join(figures)}), facts)


@pytest.fixture
def file(tmp_path):
    made = tmp_path / "RESULTS.md"
    for section in (BENCH, AUDIT, soaked("import", "2026-11-20 11:00 UTC", "first")):
        results.write(section, file=made)
    return made


def headings(file):
    return re.findall(r"^## (.+)$", file.read_text(), re.MULTILINE)


def test_a_section_takes_the_place_of_its_own_sort_and_of_no_other(file):
    before = headings(file)
    results.write(soaked("import", "2026-11-21 09:00 UTC", "second"), file=file)
    results.write(AUDIT.replace("audited", "audited again"), file=file)
    text = file.read_text()
    assert len(headings(file)) == len(before)
    assert "second" in text
    assert "first" not in text
    assert "audited again\n\n## Soak: import, 2026-11-21 09:00 UTC, commit cccccccccc\n" in text
    assert BENCH in text
    results.write(soaked("rotation", "2026-11-21 09:00 UTC", "third"), file=file)
    assert [one.split(",")[0] for one in headings(file)][1:] == [
        "Audit",
        "Soak: import",
        "Soak: rotation",
    ]


def test_runs_of_the_verify_door_are_kept_newest_first_one_a_day_and_commit(file):
    same = BENCH.replace("10:00", "12:00").replace("more", "less")
    results.write(same, file=file)
    assert headings(file)[0] == "2026-11-20 12:00 UTC, commit aaaaaaaaaa"
    assert len(headings(file)) == 3
    results.write(BENCH.replace("aaaaaaaaaa", "bbbbbbbbbb"), file=file)
    found = headings(file)
    assert found[0] == "2026-11-20 10:00 UTC, commit bbbbbbbbbb"
    assert found[1] == "2026-11-20 12:00 UTC, commit aaaaaaaaaa"
    assert len(found) == 4
    assert "first" in file.read_text()


def test_writing_a_section_that_is_there_changes_nothing_the_committed_file_included(tmp_path):
    copy = tmp_path / "copy.md"
    copy.write_bytes(results.FILE.read_bytes())
    copy.with_name(results.PICTURE).touch()  # as beside the committed one
    sections = re.split(r"^(?=## )", copy.read_text(), flags=re.MULTILINE)[1:]
    assert sections
    for section in sections:
        if not section.startswith("## 20"):  # those go to the top
            results.write(section, file=copy)
    assert copy.read_bytes() == results.FILE.read_bytes()


def test_the_committed_file_begins_with_the_head_that_the_next_writer_gives_it():
    assert (
        results.FILE.read_text().partition("\n## ")[0] == results.head(results.FILE).rstrip() + "\n"
    )


def test_the_picture_is_shown_where_there_is_one(file):
    shown = f"]({results.PICTURE})"
    assert shown not in file.read_text()
    file.with_name(results.PICTURE).write_text("<svg/>")
    results.write(AUDIT, file=file)
    before, first, _ = file.read_text().partition("\n## ")
    assert first
    assert before.count(shown) == 1
    results.write(AUDIT, file=file)
    assert file.read_text().count(shown) == 1
    file.with_name(results.PICTURE).unlink()
    results.write(AUDIT, file=file)
    assert shown not in file.read_text()


def test_what_has_no_date_is_refused_before_anything_is_written(file):
    before = file.read_bytes()
    with pytest.raises(ValueError, match="heading"):
        results.write("### Not a section\n", file=file)
    with pytest.raises(ValueError, match="heading"):
        results.write("## No date\n\ntext\n", file=file)
    assert file.read_bytes() == before
