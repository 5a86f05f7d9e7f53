"""The README's tour, run from top to bottom: `make run`, then every other command in one bash."""

import shutil
from pathlib import Path

import pytest
from tests.docs.transcript import (
    API,
    BIN,
    CONSOLE,
    FILES,
    GATE,
    ROOT,
    VERIFY,
    blocks,
    free_ports,
    shell,
    steps,
    terminal,
    with_ports,
)

README = ROOT / "README.md"


def checkout(folder: Path, ports: dict[int, int]) -> None:
    """Lay out what the tour uses as in a clone that `make run` has installed."""
    for name in ("deploy", "examples"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in folder.rglob("*.conf"):
        file.write_text(with_ports(file.read_text(encoding="utf-8"), ports), encoding="utf-8")
    for name in ("pyproject.toml", "locks/build.txt", "locks/server.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8")
    listening = (
        f"init --listen 127.0.0.1:{ports[API]} --console-listen 127.0.0.1:{ports[CONSOLE]}"
        f" --verify-listen 127.0.0.1:{ports[VERIFY]} --config"
    )
    assert "init --config" in recipe
    (folder / "Makefile").write_text(recipe.replace("init --config", listening), encoding="utf-8")
    (folder / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (folder / ".venv" / name).symlink_to(BIN.parent / name)
    (folder / ".venv/server.stamp").touch()


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_every_command_of_the_tour_prints_what_the_readme_shows(tmp_path):
    ports = free_ports(API, CONSOLE, VERIFY, GATE, FILES)
    checkout(tmp_path, ports)
    first, *rest = [
        step for block in blocks(README) if block.language == "console" for step in steps(block)
    ]
    assert first.command == "make run"
    expected = with_ports(first.expected, ports)
    with (
        terminal(first.command, expected, tmp_path, fresh=True),
        shell(tmp_path, ports, fresh=True) as session,
    ):
        for step in rest:
            session.check(step)


def test_every_block_of_the_readme_is_run_or_is_part_of_an_example():
    shown = ("fastapi_app/app.py", "clouds/library/with_urllib.py")
    examples = [(ROOT / "examples" / name).read_text(encoding="utf-8") for name in shown]
    for block in blocks(README):
        assert block.language in {"console", "python"}, f"line {block.line}"
        if block.language == "python":
            assert any(block.text in text for text in examples), f"line {block.line}: no example"
