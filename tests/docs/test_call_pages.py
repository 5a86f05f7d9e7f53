"""The pages for callers show the files that are run, all of them, and what goes with them is sound.

The samples are run by tests/clients/test_caller_samples.py. No image is built here: that takes a
daemon, or root, and a base image from a registry. By hand all were, by buildah over an empty base:
each held the program alone. What a Dockerfile must not do is read from its text.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.docs.transcript import ROOT, blocks
from tests.e2e.stack import environment

from latchgate.client.clouds import kakaocloud, teracloud, upcloud, wayscloud
from latchgate.client.sources import DotEnv
from latchgate.client.sources.source import Found

CLOUDS = ROOT / "examples" / "clouds"
FOLDERS = sorted(folder for folder in CLOUDS.iterdir() if folder.is_dir())
SERVED = [folder for folder in FOLDERS if folder.name != "library"]
WANTED = {
    "kakaocloud": kakaocloud.WANTED,
    "teracloud": teracloud.WANTED,
    "upcloud": upcloud.WANTED,
    "wayscloud": wayscloud.WANTED,
}
SECRET = re.compile("KEY|TOKEN|SECRET|PASSWORD")
of_cloud = pytest.mark.parametrize("folder", SERVED, ids=lambda folder: folder.name)


def page(folder: Path) -> Path:
    name = "with-python" if folder.name == "library" else folder.name
    return ROOT / "docs" / "howto" / f"call-{name}.md"


def variables(folder: Path) -> dict[str, str]:
    """Return what .env.example sets, what is commented out included."""
    text = (folder / ".env.example").read_text(encoding="utf-8")
    found = re.findall(r"^(?:# )?([A-Z_]+)='?([^'\n]*)'?$", text, re.MULTILINE)
    assert found
    return dict(found)


def test_the_pages_hold_the_files_text():
    command = [sys.executable, "docs/samples.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_page_shows_every_file_and_nothing_that_is_none(folder):
    texts = {
        file.read_text(encoding="utf-8"): file.name for file in folder.iterdir() if file.is_file()
    }
    shown = [block for block in blocks(page(folder)) if block.language != "console"]
    for block in shown:
        assert block.text in texts, f"{page(folder).name}, line {block.line}: no file's text"
    missing = set(texts.values()) - {texts[block.text] for block in shown}
    assert not missing


@of_cloud
def test_an_env_file_is_read_alike_by_sh_by_node_and_by_the_library(folder, tmp_path):
    told = {
        name: value
        for name, value in variables(folder).items()
        if f"\n# {name}=" not in (folder / ".env.example").read_text(encoding="utf-8")
    }
    names = " ".join(f'"${name}"' for name in told)
    sh = f"set -a; . ./.env.example; set +a; printf '%s\\n' {names}"
    node = f"for (const name of {list(told)}) console.log(process.env[name])"
    for command in (["sh", "-c", sh], ["node", "--env-file=.env.example", "-e", node]):
        done = subprocess.run(
            command, cwd=folder, env=environment(), capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines() == list(told.values())
    file = tmp_path / ".env"
    file.write_bytes((folder / ".env.example").read_bytes())
    file.chmod(0o600)
    found = DotEnv(file).look(WANTED[folder.name])
    assert isinstance(found, Found)
    read = {one.reveal() for one in found.fields.values()}
    assert read == {value for name, value in told.items() if name != "OS_AUTH_TYPE"}


@of_cloud
def test_a_container_gets_the_variables_that_its_program_reads_and_an_image_none(folder):
    lines = (folder / "Dockerfile").read_text(encoding="utf-8").splitlines()
    told = [line.split(None, 1) for line in lines if line and not line.startswith("#")]
    instructions = [one for one, _ in told]
    assert not {"ENV", "ARG", "ADD"} & set(instructions)
    assert "USER" in instructions
    copied = [word for one, words in told if one == "COPY" for word in words.split()[:-1]]
    ignored = (folder / ".dockerignore").read_text(encoding="utf-8").split()
    assert ignored == ["*", *(f"!{name}" for name in copied)]
    (started,) = [words for one, words in told if one == "CMD"]
    assert shlex.split(started.strip("[]").replace(",", " ")) == ["node", *copied]
    program = (folder / copied[0]).read_text(encoding="utf-8")
    composed = yaml.safe_load((folder / "compose.yaml").read_text(encoding="utf-8"))
    given = composed["services"]["app"]["environment"]
    assert set(given) == set(variables(folder)) - {"OS_AUTH_TYPE"}
    for name, value in given.items():
        assert name in program
        assert str(value).startswith(f"${{{name}:")


@of_cloud
def test_compose_takes_the_variables_from_env_and_starts_nothing_without(folder, tmp_path):
    (tmp_path / "compose.yaml").write_bytes((folder / "compose.yaml").read_bytes())
    command = ["docker-compose", "--file", "compose.yaml", "config"]

    def composed() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
        )

    missing = composed()
    assert missing.returncode != 0
    assert any(name in missing.stderr for name in variables(folder))
    (tmp_path / ".env").write_bytes((folder / ".env.example").read_bytes())
    done = composed()
    assert done.returncode == 0, done.stderr
    given = yaml.safe_load(done.stdout)["services"]["app"]["environment"]
    for name, value in variables(folder).items():
        if SECRET.search(name):
            assert given[name] == value
