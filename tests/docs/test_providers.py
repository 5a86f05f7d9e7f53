"""docs/reference/providers.md: what the four documents say, where it is built, what proves it."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache

import pytest
from tests.docs.transcript import ROOT

PAGE = ROOT / "docs/reference/providers.md"
PROVIDERS = ("TeraCLOUD", "UpCloud", "WAYSCloud", "KakaoCloud")
COLUMNS = ("says", "built in", "proven by")
# Sentences that other issues build; a row that waits for one names it.
ELSEWHERE = ("single sign-on", "the console", "the life of a key", "the caller's side")
_CODE = re.compile(r"`([^`]+)`")
_TEST = re.compile(r"((?:tests|interop)/[\w./-]+\.py)::(\w+)(?:\[[^\]]*\])?")
_FILE = re.compile(r"[\w./-]+\.(?:py|toml|conf|example|md)|[\w./-]+/")


@dataclass(frozen=True)
class Row:
    """One row of a provider's table, and on which line of the page it is."""

    provider: str
    line: int
    says: str
    built: str
    proven: str

    def __str__(self) -> str:
        return f"{self.provider}, line {self.line}: {self.says[:60]}"

    @property
    def elsewhere(self) -> bool:
        """Whether it waits for another issue, which it names."""
        told = f"{self.built} {self.proven}".lower().replace("’", "'")
        return "issue" in told and any(name in told for name in ELSEWHERE)


@cache
def rows() -> tuple[Row, ...]:
    """Return every row of every provider's tables; a table of other columns is a fault."""
    provider, header, found = "", False, []
    for number, line in enumerate(PAGE.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("## "):
            provider = next((name for name in PROVIDERS if name in line), "")
        if not line.startswith("|"):
            header = False
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
        if not header:
            assert tuple(cells) == COLUMNS, f"line {number}: a table of {cells}"
            header = True
        elif set(line) - set("|-: "):
            assert len(cells) == len(COLUMNS), f"line {number}: {len(cells)} cells"
            found.append(Row(provider, number, *cells))
    return tuple(found)


@cache
def functions(path: str) -> frozenset[str]:
    """Return the names of the functions of a Python file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_document_has_its_rows(provider):
    assert len([row for row in rows() if row.provider == provider]) >= 10


def test_every_row_is_a_providers():
    assert [str(row) for row in rows() if not row.provider] == []


def test_no_cell_is_blank():
    blank = {"", "-", "–", "—", "?", "…", "tbd", "todo", "n/a"}
    cells = [(str(row), cell) for row in rows() for cell in (row.says, row.built, row.proven)]
    assert [where for where, cell in cells if cell.lower() in blank] == []


def test_every_row_is_proven_by_a_test_that_exists_or_names_the_issue_that_builds_it():
    faults = []
    for row in rows():
        named = _TEST.findall(row.proven)
        if not named and not row.elsewhere:
            faults.append(f"{row}: no test (tests/…/test_x.py::test_name) and no issue")
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
