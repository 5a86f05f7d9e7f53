"""Each how-to's commands, run in order against a server of their own."""

import re
import shlex
import shutil
import tomllib
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from tests.docs.transcript import (
    API,
    APP,
    CONSOLE,
    ROOT,
    VERIFY,
    Step,
    blocks,
    free_ports,
    init,
    shell,
    steps,
    terminal,
    with_ports,
)
from tests.postgres import Database

from latchgate.config_entries import ConfigEntry
from latchgate.core.kinds import ASSERTED, KINDS
from latchgate.core.policy_entries import ProviderEntry

DOCS = ROOT / "docs"
# The pages for callers, which take one server together.
CALLS = {f"call-{cloud}.md" for cloud in ("kakaocloud", "teracloud", "upcloud", "wayscloud")}
STOPPED = {"backup.md", "move-out.md", "tls.md"}  # the how-to says to stop the server first
# What these say of PostgreSQL is done to a real one.
NODES, MOVE = "run-many-nodes.md", "move-to-postgresql.md"
DATABASE = "postgresql://latchgate@db.example.com/latchgate"
RUN = sorted(
    page.name
    for page in (DOCS / "howto").iterdir()
    if any(block.language == "console" for block in blocks(page))
    and page.name not in {*CALLS, NODES, MOVE}
)
SHOWN = {"caddyfile", "yaml"}  # configuration of other programs
TAKEN = "toml"  # our own, which is read
# The texts of files that other tests run: tests/docs/test_call_pages.py holds them to these.
SAMPLES = {"dockerfile", "go", "javascript", "php", "sh", "text"}


@pytest.mark.e2e
@pytest.mark.enable_socket
@pytest.mark.parametrize("name", RUN)
def test_every_command_of_a_howto_prints_what_it_shows(name, tmp_path):
    check((name,), tmp_path)


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_every_command_of_the_pages_for_callers_prints_what_it_shows(tmp_path):
    check(sorted(CALLS), tmp_path)


def over(database: Database, page: str) -> list[Step]:
    """Return a page's steps with the database of a test in the place of the one it names."""
    found = [
        step
        for block in blocks(DOCS / "howto" / page)
        if block.language == "console"
        for step in steps(block)
    ]
    uri = shlex.quote(database.socket_uri)
    return [replace(step, command=step.command.replace(DATABASE, uri)) for step in found]


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_every_command_for_many_nodes_prints_what_it_shows(postgres_database, tmp_path):
    ports = free_ports(API, CONSOLE, VERIFY)
    first, *others = over(postgres_database, NODES)
    with shell(tmp_path, ports) as session:
        session.check(first)
    for name in ("latchgate.toml", "profile.toml"):
        file = tmp_path / ".latchgate" / name
        file.write_text(with_ports(file.read_text("utf-8"), ports), "utf-8")
    with terminal("latchgate serve", "…", tmp_path), shell(tmp_path, ports) as session:
        for step in others:
            session.check(step)


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_every_command_of_a_move_to_postgresql_prints_what_it_shows(postgres_database, tmp_path):
    ports = free_ports(API, CONSOLE, VERIFY)
    init(tmp_path, ports)
    with shell(tmp_path, ports) as session:
        for step in over(postgres_database, MOVE):
            session.check(step)


def check(names: Iterable[str], folder: Path) -> None:
    ports = free_ports(API, CONSOLE, VERIFY, APP)
    shutil.copytree(
        ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__")
    )
    init(folder, ports)
    server = nullcontext() if STOPPED & set(names) else terminal("latchgate serve", "…", folder)
    with server:
        for name in names:
            with shell(folder, ports) as session:
                for block in blocks(DOCS / "howto" / name):
                    if block.language == "console":
                        for step in steps(block):
                            session.check(step)


MAKE = """\
latchgate key create --service storage --name {0} --json | python3 -c '
import json, sys
print("Authorization: Bearer " + json.load(sys.stdin)["key"])' > {0}"""
REVOKE = 'latchgate key revoke "$(cut -d_ -f3 {0})"'
ASK = "latchgate explain GET http://a/v1/storage/a -H @- < {0}"


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_a_restore_takes_back_what_happened_since_the_backup(tmp_path):
    ports = free_ports(API, CONSOLE, VERIFY)
    init(tmp_path, ports)

    def run(*told: tuple[str, str]) -> None:
        with terminal("latchgate serve", "…", tmp_path), shell(tmp_path, ports) as session:
            for command, expected in told:
                session.check(Step(0, command, expected))

    run(
        (MAKE.format("early"), ""),
        (ASK.format("early"), "…\ndecision  allowed\n…"),
        ("latchgate backup today.tar", "…"),
    )
    run(
        (MAKE.format("late"), ""),
        (REVOKE.format("early"), "…"),
        (ASK.format("early"), "…\nreason    credential_revoked\n…"),
    )
    with shell(tmp_path, ports) as session:
        session.check(Step(0, "latchgate restore today.tar", "…"))
    run(
        (ASK.format("early"), "…\ndecision  allowed\n…"),
        (ASK.format("late"), "…\nreason    credential_unknown\n…"),
    )


def test_every_other_block_is_no_command():
    pages = [page for page in DOCS.rglob("*.md") if page.parent.name != "howto"]
    for page in pages:
        assert not blocks(page), f"{page}: only the tour and the how-tos hold blocks that are run"
    for page in (DOCS / "howto").iterdir():
        for block in blocks(page):
            known = {"console", "python", TAKEN, *SHOWN}
            if page.name in CALLS:
                known |= SAMPLES
            assert block.language in known, f"{page}, line {block.line}"


def test_every_toml_block_of_a_howto_is_taken_as_configuration_or_policy():
    head = {"provider": "shown", "title": "Shown", "dialect": "problem"}
    for page in (DOCS / "howto").iterdir():
        for block in blocks(page):
            if block.language == TAKEN:
                told = tomllib.loads(block.text)
                if "kinds" not in told:
                    msgspec.convert(told, ConfigEntry)
                    continue
                msgspec.convert(head | told, ProviderEntry)
                for word, settings in told["kinds"].items():
                    kind = {**KINDS, **ASSERTED}[word](f"shown.{word}", settings)
                    assert kind.name == f"shown.{word}"


def test_every_python_block_of_a_howto_is_part_of_an_example():
    examples = [file.read_text("utf-8") for file in (ROOT / "examples").rglob("*.py")]
    for page in (DOCS / "howto").iterdir():
        for block in blocks(page):
            if block.language == "python":
                found = any(block.text in text for text in examples)
                assert found, f"{page}, line {block.line}: in no file of examples"


def test_indented_blocks_hold_only_what_other_tests_run():
    """An indented block is not run as a transcript, so it holds no command but those known."""
    for page in [ROOT / "README.md", *(DOCS / "howto").iterdir()]:
        text = re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8"))
        found = re.findall(r"(?<=\n\n) {4}(\S.*)|(?<=\S\n) {4}(\S.*)", text)
        commands = {(one or other).split("  ")[0] for one, other in found}
        assert commands <= {"make run", "make test", "latchgate login --url URL"}, page
