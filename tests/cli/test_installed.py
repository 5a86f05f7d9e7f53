"""The command as it is installed from a wheel: with nothing, and with the extra `cli`."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tests.cli.callers import KEY
from tests.client.stage import Said, Stage

pytestmark = pytest.mark.enable_socket

ROOT = Path(__file__).parents[2]


def needed(wheel: Path, *extras: str) -> set[str]:
    """Return every distribution that a wheel needs, by what they all say of themselves."""
    with zipfile.ZipFile(wheel) as opened:
        (metadata,) = [name for name in opened.namelist() if name.endswith("/METADATA")]
        asked = re.findall(r"(?m)^Requires-Dist: (.*)$", opened.read(metadata).decode())
    found: set[str] = set()
    todo = [(asked, extras)]
    while todo:
        asked, extras = todo.pop()
        for text in asked:
            one = Requirement(text)
            marker = one.marker
            if marker is not None and not any(
                marker.evaluate({"extra": extra}) for extra in (*extras, "")
            ):
                continue
            if one.name not in found:
                found.add(one.name)
                todo.append((distribution(one.name).requires or [], tuple(one.extras)))
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    (file,) = folder.glob("*.whl")
    return file


def installed(folder: Path, wheel: Path, *extras: str) -> Path:
    """Make a virtual environment of a wheel and what it needs, and return its command."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    scheme = {"base": str(folder), "platbase": str(folder)}
    place = Path(sysconfig.get_path("purelib", "venv", vars=scheme))
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(place)
    for name in needed(wheel, *extras):
        for file in distribution(name).files or ():
            first = file.parts[0]
            if first != ".." and not (place / first).exists():
                (place / first).symlink_to(Path(str(distribution(name).locate_file(first))))
    (entry,) = place.glob("latchgate-*.dist-info/entry_points.txt")
    module, function = re.findall(r"^latchgate = (\S+):(\S+)$", entry.read_text(), re.MULTILINE)[0]
    command = folder / "bin" / "latchgate"
    lines = [f"#!{folder}/bin/python", "import sys", f"from {module} import {function}"]
    text = "\n".join([*lines, f"sys.exit({function}())", ""])
    command.write_text(text)
    command.chmod(0o755)
    return command


def run(command: Path, *args: str, home: Path, stdin: str = "", code: int = 0):
    done = subprocess.run(
        [command, *args],
        input=stdin,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "NO_COLOR": "1", "COLUMNS": "200"},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, (args, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def command(wheel, tmp_path_factory):
    return installed(tmp_path_factory.mktemp("cli"), wheel, "cli")


def test_the_base_install_has_no_command_line_and_says_how_to_get_it(wheel, tmp_path):
    base = installed(tmp_path / "base", wheel)
    done = run(base, "whoami", home=tmp_path, code=1)
    assert "pip install 'latchgate[cli]'" in done.stderr
    program = "from latchgate.client import WaysCloud; print(WaysCloud('wayscloud_a_b_c'))"
    done = subprocess.run(
        [base.with_name("python"), "-I", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("WaysCloud(url='https://api.wayscloud.services'")


def test_with_the_command_line_installed_a_cloud_is_called(command, tmp_path):
    with Stage(lambda asked: Said(body=b"hello" if asked.path == "/" else b"{}")) as stage:
        add = ("profile", "add", "shop", "--cloud", "wayscloud", "--url", stage.url)
        run(command, *add, "--from", "stdin", home=tmp_path, stdin=KEY)
        assert run(command, "call", "shop", "GET", "/", home=tmp_path).stdout == "hello"
        assert stage.asked[0].header("Authorization") == f"Bearer {KEY}"
        assert "profile shop" in run(command, "whoami", "shop", home=tmp_path).stdout


def test_without_the_server_its_verbs_say_how_to_get_them_and_help_lists_all(command, tmp_path):
    done = run(command, "init", home=tmp_path, code=1)
    assert "pip install 'latchgate[server]'" in done.stderr
    assert "serve" in run(command, "--help", home=tmp_path).stdout


def test_verbs_for_callers_load_neither_the_server_nor_an_http_library(command, tmp_path):
    program = (
        "import sys\n"
        "from latchgate.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as ended: assert not ended.code, ended.code\n"
        "finally: print(*sys.modules, file=open('modules', 'w'))\n"
    )
    known = {*sys.stdlib_module_names, "__main__", "latchgate", "msgspec"}
    known |= {"click", "rich_click", "typing_extensions"}  # the last is rich_click's
    with Stage(lambda _: Said(body=b'{"user": {"id": "u"}}')) as stage:
        add = ("profile", "add", "shop", "--cloud", "wayscloud", "--url", stage.url)
        for args in (
            (*add, "--from", "stdin", "--store", "file"),
            ("profile", "list"),
            ("call", "shop", "GET", "/"),
            ("token", "shop"),
            ("whoami", "shop"),
            ("env", "shop"),
        ):
            python = command.with_name("python")
            subprocess.run(
                [python, "-I", "-c", program, *args],
                input=KEY.encode(),
                env={"HOME": str(tmp_path)},
                cwd=tmp_path,
                check=True,
                capture_output=True,
            )
            loaded = (tmp_path / "modules").read_text().split()
            assert {name.partition(".")[0] for name in loaded} <= known, args
            ours = {name for name in loaded if name.startswith("latchgate.")}
            assert not {
                one for one in ours if not one.startswith(("latchgate.cli", "latchgate.client"))
            }
            assert "latchgate.cli.api" not in ours
