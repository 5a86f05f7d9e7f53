"""What issue and architecture want of the verify door, held against what was measured.

Rule of this file: pure. A figure compares within a round wherever both were measured in one, and
says `reached` or `MISSED`; what was not measured says that.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

NGINX, GO, OURS, CONSTANT = "nginx return 204", "Go net/http", "latchgate", "constant answer"
FEW, MANY = "latchgate, 1,000 keys", "latchgate, 1,000,000 keys, 50,000 in use"
ACCEPTED = "accepted"
FEW_AREAS, MANY_AREAS = "5 areas", "500 areas"
BARE, ASKED = "nginx that proxies", "… with auth_request"
BATCH = f"{ASKED}, Latchgate as a batch"

WANTED_NGINX = 0.50
WANTED_GO = 1.0
WANTED_PEER = 10.0
WANTED_PEERS = {"oidc-provider": 7.0, "Ory Oathkeeper": 2.0}
WANTED_REFUSAL = 1.0
WANTED_AREAS = 1.05
WANTED_MANY = 1.10
WANTED_SINGLE_US = 60.0
WANTED_GATEWAY = 0.50


class Spent(Protocol):
    """One round: CPU in microseconds a request."""

    @property
    def cpu(self) -> float:
        """Microseconds a request."""


class Timed(Spent, Protocol):
    """One round with its latencies, in microseconds."""

    @property
    def p50(self) -> float:
        """The median."""


def figure(name: str, wanted: str, measured: str, *, reached: bool) -> str:
    """Return one line of a report."""
    verdict = "reached" if reached else "MISSED"
    return f"- figure: {name}: wanted {wanted}, measured {measured}, {verdict}"


def ratios(of: Sequence[Spent], to: Sequence[Spent]) -> list[float]:
    """Return the CPU of one through that of another, round by round."""
    return [one.cpu / other.cpu for one, other in zip(of, to, strict=True)]


def spread(values: Sequence[float], form: str) -> str:
    """Return the median, and the lowest and highest."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def doors(rounds: Mapping[str, Sequence[Spent]]) -> Iterator[str]:
    """Judge the verify door beside constant answers, and over few and many keys."""
    for other, wanted in ((NGINX, WANTED_NGINX), (GO, WANTED_GO)):
        name = f"verify door, CPU of {other} ÷ its own"
        if other in rounds:
            yield _at_least(name, wanted, ratios(rounds[other], rounds[OURS]), ".3f")
        else:
            yield f"- figure: {name}: wanted ≥ {wanted:g}, not measured"
    if FEW in rounds and MANY in rounds:
        name = "CPU with 1,000,000 keys stored, 50,000 in use ÷ with 1,000"
        yield _at_most(name, WANTED_MANY, ratios(rounds[MANY], rounds[FEW]))


def peers(
    ours: Sequence[Spent], theirs: Mapping[str, Sequence[Spent]], absent: Mapping[str, str]
) -> Iterator[str]:
    """Judge the verify door beside other programs that answer the same question."""
    for name, rounds in theirs.items():
        wanted = WANTED_PEERS.get(name, WANTED_PEER)
        yield _at_least(
            f"verify door, CPU of {name} ÷ its own", wanted, ratios(rounds, ours), ".1f"
        )
    for name, why in absent.items():
        wanted = WANTED_PEERS.get(name, WANTED_PEER)
        yield f"- figure: verify door beside {name}: wanted ≥ {wanted:g}, not measured: {why}"


def refusals(others: Mapping[str, Sequence[Spent]], sorts: Sequence[str]) -> Iterator[str]:
    """Judge every sort of refusal beside an acceptance."""
    for name in sorts:
        found = ratios(others[name], others[ACCEPTED])
        yield _at_most(f"refused ({name}), CPU ÷ an acceptance's", WANTED_REFUSAL, found)


def areas(rounds: Mapping[str, Sequence[Spent]]) -> Iterator[str]:
    """Judge a policy with many areas beside one with few."""
    found = ratios(rounds[MANY_AREAS], rounds[FEW_AREAS])
    yield _at_most(f"CPU with {MANY_AREAS} ÷ with {FEW_AREAS}", WANTED_AREAS, found)


def single(rounds: Mapping[str, Sequence[Timed]]) -> Iterator[str]:
    """Judge what one connection waits for an answer."""
    pairs = zip(rounds[OURS], rounds[NGINX], strict=True)
    over = statistics.median(one.p50 - nginx.p50 for one, nginx in pairs)
    yield figure(
        f"one connection, p50 over {NGINX}",
        f"≤ {WANTED_SINGLE_US:g} µs",
        f"{over:.0f} µs",
        reached=over <= WANTED_SINGLE_US,
    )


def gateway(rounds: Mapping[str, Sequence[Spent]]) -> Iterator[str]:
    """Judge what a question costs behind nginx: all processes that take part."""
    for asked in (ASKED, BATCH):
        found = ratios(rounds[BARE], rounds[asked])
        yield _at_least(f"{BARE}, CPU ÷ {asked}, uncached", WANTED_GATEWAY, found, ".3f")


def _at_least(name: str, wanted: float, found: Sequence[float], form: str) -> str:
    reached = statistics.median(found) >= wanted
    return figure(name, f"≥ {wanted:g}", spread(found, form), reached=reached)


def _at_most(name: str, wanted: float, found: Sequence[float]) -> str:
    reached = statistics.median(found) <= wanted
    return figure(name, f"≤ {wanted:g}", spread(found, ".2f"), reached=reached)
