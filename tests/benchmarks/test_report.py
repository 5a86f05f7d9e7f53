"""One run's figures in words: every table has its rows, a miss says so, what is absent says why."""

import re
from dataclasses import replace

import pytest
from benchmarks import judgement, report
from benchmarks.load import Round
from benchmarks.machine import Memory
from benchmarks.stages import ANSWERED, COUNTED, DECIDED, READ
from benchmarks.tokens import Round as Peer

ABOUT = {
    "date": "2026-11-23 03:00 UTC",
    "commit": "abcdef0123",
    "machine": "two cores",
    "command": "python benchmarks/verify.py",
}


def rounds(cpu, *, p50=100.0, beside=0.0):
    """Return two rounds of so many microseconds, of which 7 are the kernel's."""
    one = Round(
        requests=1_000, per_second=1e6 / cpu, cpu=cpu, user=cpu - 7.0, kernel=7.0,
        other_threads=1.0, busy=0.9, disturbed=0.01, p50=p50, p99=4 * p50, beside=beside,
    )  # fmt: skip
    return [one, one]


@pytest.fixture
def results():
    return report.Results(
        arguments={"seconds": 2, "rounds": 2, "keys": 100_000},
        rounds={
            judgement.NGINX: rounds(8.0),
            judgement.OURS: rounds(15.0),
            judgement.CONSTANT: rounds(12.0),
            judgement.GO: rounds(14.0),
        },
        whole_run_cpu=16.5,
        stages={READ: 2.0, DECIDED: 2.5, COUNTED: 3.0, ANSWERED: 5.5},
        cold=[],
        others={"accepted": rounds(15.0), "unknown key": rounds(30.0)},
        refused=["unknown key"],
        single={judgement.NGINX: rounds(20.0, p50=50.0), judgement.OURS: rounds(30.0)},
        gateway={
            judgement.BARE: rounds(26.0),
            judgement.ASKED: rounds(60.0, beside=22.5),
            judgement.BATCH: rounds(60.0, beside=22.5),
        },
        areas={judgement.FEW_AREAS: rounds(15.0), judgement.MANY_AREAS: rounds(15.0)},
        peers={"Ory Oathkeeper": [Peer(4_000.0, 240.0), Peer(4_000.0, 240.0)]},
        absent={"Authelia (session)": "not built: 403 Forbidden", judgement.GO: "unused"},
        in_process={
            name: {"median": 8.0, "p99": 12.0, "cpu": 9.0}
            for name in ("Verifier.decide", "engine.decide")
        },
        calibration={"sha256_us": 0.24, "python_ns": 50.0},
        starts=[1.2, 1.3, 1.4],
        memory={"at rest": Memory(89.0, 80.0)},
    )


def row(text, name):
    found = re.findall(rf"^\| {re.escape(name)} \| (.*) \|$", text, re.MULTILINE)
    assert found, name
    return found[0].split(" | ")


def section(text, title):
    return re.split(r"^### ", text, flags=re.MULTILINE)[
        [one.partition("\n")[0] for one in re.split(r"^### ", text, flags=re.MULTILINE)].index(
            title
        )
    ]


def test_a_run_begins_as_the_file_of_figures_wants_it_and_names_its_command(results):
    text = report.text(ABOUT, results)
    assert text.startswith("## 2026-11-23 03:00 UTC, commit abcdef0123\n")
    assert "\n    python benchmarks/verify.py\n" in text
    assert "- machine: two cores\n" in text


def test_what_was_missed_is_marked_and_what_was_reached_too(results):
    told = re.findall(
        r"^- figure: (.*?): wanted .*, (reached|MISSED)$", report.text(ABOUT, results), re.MULTILINE
    )
    verdicts = dict(told)
    assert verdicts["verify door, CPU of nginx return 204 ÷ its own"] == "reached"
    assert verdicts["verify door, CPU of Go net/http ÷ its own"] == "MISSED"
    assert verdicts["refused (unknown key), CPU ÷ an acceptance's"] == "MISSED"
    assert verdicts["nginx that proxies, CPU ÷ … with auth_request, uncached"] == "MISSED"
    assert verdicts["verify door, CPU of Ory Oathkeeper ÷ its own"] == "reached"
    assert verdicts["first verified answer after start, median"] == "reached"


def test_a_program_that_did_not_run_is_named_with_its_reason_in_table_and_figures(results):
    text = report.text(ABOUT, results)
    assert "not measured: not built: 403 Forbidden" in row(text, "Authelia (session)")[0]
    assert "- figure: verify door beside Authelia (session): wanted ≥ 10, not measured: " in text


def test_the_parts_of_a_request_add_up_to_it(results):
    table = section(report.text(ABOUT, results), "The verify door on one core").partition(
        "| part "
    )[2]
    spent = [
        float(one)
        for one in re.findall(r"^\| [^|]+ \| (-?[\d.]+) \| -?\d+% \|", table, re.MULTILINE)
    ]
    assert spent[-1] == 15.0
    assert sum(spent[:-1]) == pytest.approx(15.0)


def test_a_gateways_cpu_is_divided_between_nginx_and_latchgate(results):
    text = report.text(ABOUT, results)
    assert row(text, judgement.ASKED)[-2:] == ["37.50", "22.50"]
    assert row(text, judgement.BARE)[-2:] == ["26.00", "0.00"]


def test_a_peers_distance_is_taken_within_each_round(results):
    found = row(report.text(ABOUT, results), "Ory Oathkeeper")
    assert found[-1] == "16.0 (16.0 to 16.0)"


def test_a_machine_that_was_not_quiet_is_told_of(results):
    quiet = report.text(ABOUT, results)
    loud = {
        name: [replace(one, disturbed=0.2) for one in each] for name, each in results.rounds.items()
    }
    assert "not quiet" not in quiet
    assert "- not quiet: other programs used 20%" in report.text(
        ABOUT, replace(results, rounds=loud)
    )


def test_every_table_has_as_many_cells_in_each_row_as_in_its_head(results):
    for table in re.findall(r"(?:^\|.*\|\n?)+", report.text(ABOUT, results), re.MULTILINE):
        lines = table.strip().splitlines()
        if any("not measured" in one for one in lines):
            lines = [one for one in lines if "not measured" not in one]
        assert len({len(one.split("|")) for one in lines}) == 1, lines[0]


def test_the_picture_has_all_that_ran_but_the_constant_answer(results):
    picture = report.picture(ABOUT, results)
    for name in (judgement.NGINX, judgement.OURS, judgement.GO, "Ory Oathkeeper"):
        assert f">{name}</text>" in picture
    assert judgement.CONSTANT not in picture
