"""The report of a run: what it counts, and what its picture shows."""

import xml.etree.ElementTree as ET

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


def test_report_figures_and_pictures_are_written_for_the_scenarios_that_ran(
    told, tmp_path, monkeypatch
):
    monkeypatch.setattr(report, "FOLDER", tmp_path / "failover")
    report.write({"date": "today"}, {"node-cut-off": "one & all", "other": "not run"}, [told])
    folder = tmp_path / "failover"
    files = {file.name for file in folder.iterdir()}
    assert files == {"README.md", "results.json", "node-cut-off.svg"}
    page = (folder / "README.md").read_text()
    assert "[node-cut-off](#node-cut-off) | 1 | 60 |" in page
    assert "not run" not in page
    picture = ET.fromstring((folder / "node-cut-off.svg").read_text())  # noqa: S314 - our own
    texts = [one.text for one in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"node1", "changes", "cut <off>", "no answer in time"} <= set(texts)
