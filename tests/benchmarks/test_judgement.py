"""What is wanted, held against what was measured: reached, MISSED, or said not to be measured."""

from dataclasses import dataclass

import pytest
from benchmarks import judgement
from benchmarks.judgement import GO, MANY, NGINX, OURS


@dataclass
class Round:
    cpu: float
    p50: float = 0.0


def rounds(*cpu):
    return [Round(one) for one in cpu]


def verdicts(lines):
    return [line.rpartition(", ")[2] for line in lines]


def test_the_door_is_judged_by_the_cpu_of_the_same_rounds():
    measured = {NGINX: rounds(5, 8, 50), OURS: rounds(10, 16, 100), GO: rounds(9, 17, 100)}
    nginx, go = judgement.doors(measured)
    assert "wanted ≥ 0.5, measured 0.500 (0.500 to 0.500), reached" in nginx
    assert "measured 1.000 (0.900 to 1.062), reached" in go


def test_a_door_just_below_what_is_wanted_missed_it():
    measured = {NGINX: rounds(4.99), OURS: rounds(10), GO: rounds(9.99)}
    assert verdicts(judgement.doors(measured)) == ["MISSED", "MISSED"]


def test_a_door_beside_which_go_did_not_run_says_so():
    lines = list(judgement.doors({NGINX: rounds(5), OURS: rounds(10)}))
    assert lines[1].endswith("wanted ≥ 1, not measured")


@pytest.mark.parametrize(("cpu", "verdict"), [(11.0, "reached"), (11.1, "MISSED")])
def test_many_stored_keys_may_cost_a_tenth_more(cpu, verdict):
    measured = {NGINX: rounds(5), OURS: rounds(10), GO: rounds(10)}
    measured |= {judgement.FEW: rounds(10), MANY: rounds(cpu)}
    assert verdicts(judgement.doors(measured))[-1] == verdict


def test_each_peer_has_its_own_distance_and_an_absent_one_its_reason():
    theirs = {"oidc-provider": rounds(70), "better-auth": rounds(99)}
    lines = list(judgement.peers(rounds(10), theirs, {"Ory Oathkeeper": "no Go"}))
    assert verdicts(lines[:2]) == ["reached", "MISSED"]
    assert "wanted ≥ 2, not measured: no Go" in lines[2]


def test_every_sort_of_refusal_is_judged_beside_an_acceptance():
    others = {"accepted": rounds(10, 10, 10), "unknown": rounds(9, 10, 99), "wrong": rounds(11)}
    others["wrong"] = rounds(10.5, 10.5, 9)
    assert verdicts(judgement.refusals(others, ["unknown", "wrong"])) == ["reached", "MISSED"]


@pytest.mark.parametrize(("cpu", "verdict"), [(10.5, "reached"), (10.6, "MISSED")])
def test_many_areas_may_cost_a_twentieth_more(cpu, verdict):
    measured = {judgement.FEW_AREAS: rounds(10), judgement.MANY_AREAS: rounds(cpu)}
    assert verdicts(judgement.areas(measured)) == [verdict]


@pytest.mark.parametrize(("p50", "verdict"), [(90, "reached"), (91, "MISSED")])
def test_one_connection_may_wait_sixty_microseconds_longer_than_for_nginx(p50, verdict):
    measured = {NGINX: [Round(1, 30)], OURS: [Round(1, p50)]}
    assert verdicts(judgement.single(measured)) == [verdict]


@pytest.mark.parametrize(
    ("cpu", "batch", "found"),
    [
        (40, 41, ["reached", "MISSED"]),
        (41, 40, ["MISSED", "reached"]),
        (40, 40, ["reached", "reached"]),
    ],
)
def test_a_gateway_that_asks_may_take_twice_the_cpu(cpu, batch, found):
    measured = {
        judgement.BARE: rounds(20),
        judgement.ASKED: rounds(cpu),
        judgement.BATCH: rounds(batch),
    }
    assert verdicts(judgement.gateway(measured)) == found
