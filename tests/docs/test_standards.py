"""docs/reference/standards.md: what each standard asks, where it is built, what proves it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from tests.docs.test_providers import functions
from tests.docs.transcript import ROOT

PAGE = ROOT / "docs/reference/standards.md"
HEADER = ["It asks", "Built in", "Proven by"]
NOT_YET = "**not yet**"
NOTHING = "–"
LEAST_REASON = 30  # characters
# What a server like this one is held to; each is named by a row at least.
NAMES = (
    *("6749", "6750", "7009", "7517", "7523", "7617", "7662", "8252", "8414", "8628"),
    *("8693", "8705", "8707", "8725", "8615", "9068", "9101", "9110", "9116", "9126"),
    *("9421", "9440", "9449", "9457", "9530", "9651", "9700", "9728", "6585", "6238"),
)
OTHERS = (
    *("Discovery", "OpenID Connect", "FAPI", "ASVS", "800-63B", "Secret scanning", "Privacy"),
    *("OpenTelemetry", "CADF", "OCSF", "SLSA", "bill of materials", "Rate limit", "Wycheproof"),
    *(f"V{chapter} " for chapter in (2, 4, 6, 7, 8, 9, 10, 11, 13, 14, 16)),
)
_CODE = re.compile(r"`([^`]+)`")
_TEST = re.compile(r"(tests/[\w./-]+\.py)::(\w+)")
_FILE = re.compile(r"[\w./-]+\.(?:py|toml|conf|md)|[\w./-]+/")


@dataclass(frozen=True)
class Row:
    """One row of a table, and on which line of the page it is."""

    line: int
    asks: str
    built: str
    proven: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.asks[:60]}"


@cache
def rows() -> tuple[Row, ...]:
    """Return every row of every table; a table of other columns is a fault."""
    header, found = False, list[Row]()
    for number, line in enumerate(PAGE.read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("|"):
            header = False
            continue
        cells = [cell.strip() for cell in line.strip()[1:-1].split("|")]
        assert len(cells) == len(HEADER), f"line {number}: {cells}"
        if not header:
            assert cells == HEADER, f"line {number}: {cells}"
            header = True
        elif set(line) - set("|-: "):
            found.append(Row(number, *cells))
    return tuple(found)


def test_every_standard_has_a_row():
    told = " ".join(f"{row.asks} {row.built}" for row in rows())
    page = PAGE.read_text(encoding="utf-8")
    numbers = set(re.findall(r"\b\d{4}\b", told))
    assert [name for name in NAMES if name not in numbers] == []
    assert [name for name in OTHERS if name not in page] == []


def test_every_row_is_proven_by_a_test_that_exists_or_says_why_it_is_not_built():
    faults = []
    for row in rows():
        named = _TEST.findall(row.proven)
        if NOT_YET in row.built:
            reason = row.built.partition(NOT_YET)[2]
            faults += [f"{row}: no reason"] if len(reason) < LEAST_REASON else []
        elif not named:
            faults.append(f"{row}: no test")
        if not named and row.proven != NOTHING:
            faults.append(f"{row}: neither a test nor {NOTHING}")
        for path, name in named:
            if not (ROOT / path).is_file():
                faults.append(f"{row}: no {path}")
            elif name not in functions(path):
                faults.append(f"{row}: {path} has no {name}")
    assert faults == []


def test_every_file_that_a_row_names_is_there():
    missing = [
        f"{row}: {told}"
        for row in rows()
        for told in _CODE.findall(row.built)
        if _FILE.fullmatch(told)
        and not (ROOT / told).exists()
        and not (ROOT / "src/latchgate" / told).exists()
    ]
    assert missing == []
