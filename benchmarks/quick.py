"""What a change costs the verify door, in instructions: `make bench-quick BASE=COMMIT`.

    python benchmarks/quick.py [--base HEAD^] [--head COMMIT] [--requests 1000]

Compares two commits, or a commit with the tree as it is (without `--head`), by the instructions
that callgrind counts for whole gateway questions in process (benchmarks/instructions.py). They are
nearly the same in every run, on a busy machine too, so that a change of a percent is seen. Ends
with 1 when an answer takes over 5 % more instructions than at the base. Needs Debian's valgrind;
takes about two minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).absolute().parent.parent))

from benchmarks.machine import ROOT, UnableError, program

LIMIT = 0.05
_PROGRAM = Path("benchmarks", "instructions.py")
_TOTAL = re.compile(r"^totals: (\d+)$", re.MULTILINE)

Counts = Mapping[str, float]  # instructions a request, by the sort of question


def main() -> None:
    """Compare, print, and end with 1 when the change costs too much."""
    parser = argparse.ArgumentParser(prog="benchmarks/quick.py", description=__doc__)
    parser.add_argument("--base", default="HEAD^", help="commit to compare with (default HEAD^)")
    parser.add_argument("--head", help="commit to judge (default: the tree as it is)")
    parser.add_argument("--requests", type=int, default=1_000, help="of each sort (default 1000)")
    told = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="latchgate-quick-") as name, ExitStack() as stack:
            folder = Path(name)
            trees = [stack.enter_context(_tree(folder / "base-tree", told.base))]
            trees.append(
                ROOT
                if told.head is None
                else stack.enter_context(_tree(folder / "head-tree", told.head))
            )
            with ThreadPoolExecutor(len(trees)) as pool:
                base, head = pool.map(
                    lambda tree: counted(tree, folder / f"counts-{tree.name}", told.requests), trees
                )
    except UnableError as error:
        sys.exit(f"quick.py: {error}")
    print(text(base, head, names=(told.base, told.head or "the tree as it is")))
    sys.exit(1 if dearer(base, head) else 0)


def text(base: Counts, head: Counts, *, names: tuple[str, str]) -> str:
    """Return both counts as a Markdown table, and what is dearer."""
    lines = [
        f"Instructions a request: {names[0]} against {names[1]}",
        "",
        f"| question | {names[0]} | {names[1]} | change |",
        "|---|---|---|---|",
    ]
    for name, after in head.items():
        before = base.get(name)
        told = "–" if before is None else f"{before:,.0f}"
        change = "new" if before is None else f"{after / before - 1:+.1%}"
        lines.append(f"| {name} | {told} | {after:,.0f} | {change} |")
    found = dearer(base, head)
    verdict = f"DEARER by over {LIMIT:.0%}: {', '.join(found)}" if found else "not dearer"
    return "\n".join([*lines, "", verdict])


def dearer(base: Counts, head: Counts) -> list[str]:
    """Return the questions that cost more than the limit allows."""
    return [name for name in head if name in base and head[name] > base[name] * (1 + LIMIT)]


def counted(tree: Path, folder: Path, requests: int) -> Counts:
    """Count a tree's instructions for every sort of question."""
    folder.mkdir()
    there = {"PYTHONPATH": f"{tree / 'src'}{os.pathsep}{tree}", "PYTHONHASHSEED": "0"}
    env = {**_environment(), **there, "PYTHONDONTWRITEBYTECODE": "1"}
    asking = [sys.executable, "-m", "benchmarks.instructions"]
    _run([*asking, "make", str(folder), str(requests)], tree, env)
    _run([*asking, "ask", str(folder), str(requests)], tree, env)  # and fill caches of files
    found = folder / "counts"
    valgrind = [program("valgrind"), "--tool=callgrind", "--instr-atstart=no"]
    valgrind += ["--dump-line=no", "--dump-before=getpriority", f"--callgrind-out-file={found}"]
    said = _run([*valgrind, *asking, "count", str(folder), str(requests)], tree, env)
    asked: dict[str, int] = json.loads(said.splitlines()[-1])
    # Each sort ends one part that was not meant, then the one that was.
    parts = [_total(found.with_suffix(f".{2 * at}")) for at in range(1, len(asked) + 1)]
    return {name: part / asked[name] for name, part in zip(asked, parts, strict=True)}


def _total(file: Path) -> int:
    return sum(int(one) for one in _TOTAL.findall(file.read_text()))


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("LATCHGATE")}


def _run(command: list[str], tree: Path, env: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnableError(f"{' '.join(command)} failed in {tree}:\n{done.stderr[-3000:]}")
    return done.stdout


@contextmanager
def _tree(folder: Path, commit: str) -> Iterator[Path]:
    """Check a commit out; one from before this program is given it."""
    git = [program("git"), "-C", str(ROOT)]
    done = subprocess.run(
        [*git, "worktree", "add", "--detach", str(folder), commit],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UnableError(done.stderr.strip())
    try:
        if not (folder / _PROGRAM).exists():
            shutil.copy(ROOT / _PROGRAM, folder / _PROGRAM)
        yield folder
    finally:
        subprocess.run([*git, "worktree", "remove", "--force", str(folder)], check=True)


if __name__ == "__main__":
    main()
