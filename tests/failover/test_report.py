"""The report of a run: what it counts, and what its picture shows."""

import dataclasses
import xml.etree.ElementTree as ET

import msgspec
import pytest
from failover import report
from failover.records import Action, Ask, Change, Event, Fault, Shown

MADE = Change(Action.CREATE, "node1", "", 10.0, 10.1, 201, "", "k")
ENDED = Change(Action.REVOKE, "node2", "k", 11.0, 11.5, 200, "", "", 1)
GONE = Shown("k", "revoked")
EVENTS = [Event(10.5, "cut <off>"), Event(13.0, "clients stop")]


def asked(start, status, fault=""):
    return Ask("node1", "k", start, start + 0.01, status, fault)


def steadily(begun, ended, status, fault=""):
    return [asked(begun + n / 20, status, fault) for n in range(round((ended - begun) * 20))]


@pytest.fixture
def told():
    silent = steadily(11.0, 11.8, 0, "silent")
    requests = [*steadily(10.0, 11.0, 200), *silent, *steadily(11.8, 13.0, 401)]
    return report.told("node-cut-off", 3, [MADE, *requests, ENDED, GONE, *EVENTS])


def test_figures_tell_how_long_nothing_was_decided_and_how_receipts_took(told):
    figures = told.figures
    assert figures.violations == []
    assert figures.seconds == 3.0
    assert figures.blind["node1"] == pytest.approx(0.8, abs=0.11)
    assert figures.receipts == (0.5, 0.5, 0.5)
    assert figures.lapsed == 1
    assert figures.outcomes["node1"] == {"decided": 44, "no answer in time": 16}
    assert "no violations" in report.words(figures)


def test_a_violation_is_told_with_its_record():
    figures = report.told("x", 1, [MADE, ENDED, asked(12.0, 200), GONE, *EVENTS]).figures
    (violation,) = figures.violations
    assert violation.startswith(f"k: {Fault.ACCEPTED}")
    assert "12.0" in violation
    assert "1 violations" in report.words(figures)


WHAT = {"node-cut-off": "one & all", "other": "not run"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = tmp_path / "failover"
    monkeypatch.setattr(report, "FOLDER", folder)
    return folder


def part(first=1, done=1, failed=0, **about):
    return report.Part(first, done, failed, {"date": "today", **about})


def numbered(told, number):
    figures = msgspec.structs.replace(told.figures, run=number)
    return dataclasses.replace(told, figures=figures)


def test_report_figures_and_pictures_are_written_for_the_scenarios_that_ran(told, folder):
    report.write(part(first=3), WHAT, [told])
    files = {file.name for file in folder.iterdir()}
    assert files == {"README.md", "results.json", "node-cut-off.svg"}
    page = (folder / "README.md").read_text()
    assert "[node-cut-off](#node-cut-off) | 1 | 60 |" in page
    assert "not run" not in page
    picture = ET.fromstring((folder / "node-cut-off.svg").read_text())  # noqa: S314 - our own
    texts = [one.text for one in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"node1", "changes", "cut <off>", "no answer in time"} <= set(texts)


def test_parts_stand_beside_each_other_and_a_part_that_went_on_takes_its_own_place(told, folder):
    one, two, eleven = (numbered(told, number) for number in (1, 2, 11))
    report.write(part(took="1 minutes"), WHAT, [one])
    report.write(part(11, failed=1, took="2 minutes"), WHAT, [eleven])
    report.write(part(done=2, took="3 minutes"), WHAT, [one, two])
    assert [figures.run for figures in report.read().runs] == [1, 2, 11]
    page = (folder / "README.md").read_text()
    assert "- date: today\n" in page
    assert "- runs 1 to 2: 0 failed; took 3 minutes\n" in page
    assert "- run 11: 1 failed; took 2 minutes\n" in page
    assert "[node-cut-off](#node-cut-off) | 3 | 180 |" in page


def test_what_is_written_anew_leaves_no_earlier_run(told, folder):
    report.write(part(), WHAT, [numbered(told, 1)])
    report.write(part(5), WHAT, [numbered(told, 5)], anew=True)
    stored = report.read()
    assert [figures.run for figures in stored.runs] == [5]
    assert [one.first for one in stored.parts] == [5]
