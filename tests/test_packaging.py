"""What is shipped: a small base install, everything the program reads at run time, one command."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import entry_points, requires, version
from pathlib import Path

import pytest
from tests.world import World, environment

import latchgate
from latchgate import providers

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SERVER_EXTRA = [
    re.split(r"[<>=!;\[ ]", one)[0] for one in PROJECT["optional-dependencies"]["server"]
]
MODULES = {"rich-click": "rich_click"}
# What the server extra brings along, too: none of it may be needed by the base install.
BROUGHT = {"anyio", "h11", "mako", "rich", "httpcore2", "typing_extensions", "cffi", "idna"}
BLOCKED = {MODULES.get(name, name) for name in SERVER_EXTRA} | BROUGHT

BASE_ONLY = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"{name} is not in the base install", name=name)

BLOCKED = set(sys.argv[2].split(","))
sys.meta_path.insert(0, Blocker())
from latchgate import Verifier
with Verifier(sys.argv[1]) as verifier:
    allowed = verifier.decide("GET", "/v1/storage/a", {"Authorization": "Bearer " + sys.argv[3]})
    refused = verifier.decide("GET", "/v1/storage/a", {})
print(allowed.allowed, refused.status)
known = set(sys.stdlib_module_names) | {"latchgate", "msgspec", "pysqlite3", "__main__"}
print(sorted({name.partition(".")[0] for name in sys.modules} - known))
"""


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    (tmp_path / "latchgate.toml").write_text("")
    yield made
    made.close()


def run(script, *args):
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, *args],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_base_install_decides_without_anything_of_the_server(world):
    config = str(world.database.with_name("latchgate.toml"))
    verdicts, others = run(BASE_ONLY, config, ",".join(sorted(BLOCKED)), world.key().text)
    assert verdicts == "True 401"
    # Import hooks of an editable install are no part of the program.
    loaded = [name for name in others.strip("[]").replace("'", "").split(", ") if name]
    assert [name for name in loaded if not name.startswith(("_", "editables"))] == []


def test_the_blocked_modules_are_those_of_the_server_extra():
    named = {"sqlalchemy", "starlette", "uvicorn", "click", "cryptography", "alembic"}
    assert named | {"rich_click", "httptools", "uvloop", "httpx2"} <= BLOCKED


def test_importing_the_package_imports_next_to_nothing():
    (told,) = run(
        "import sys; before = set(sys.modules); import latchgate;"
        " print(sorted(set(sys.modules) - before))"
    )
    assert "latchgate.verifier" not in told
    assert "msgspec" not in told


FRAMEWORKS = {
    "fastapi",
    "starlette",
    "django",
    "asgiref",
    "flask",
    "werkzeug",
    "uvicorn",
    "sqlalchemy",
}


@pytest.mark.parametrize(
    ("name", "brought"),
    [
        ("asgi", set()),
        ("guard", set()),
        ("wsgi", set()),
        ("fastapi", {"fastapi", "starlette"}),
        ("django", {"django", "asgiref"}),
        ("flask", {"flask", "werkzeug"}),
    ],
)
def test_an_integration_needs_its_own_framework_and_nothing_of_the_server(name, brought):
    (told,) = run(
        f"import sys; import latchgate.integrations.{name};"
        " print(*{one.partition('.')[0] for one in sys.modules})"
    )
    assert set(told.split()) & FRAMEWORKS <= brought


def test_the_base_dependencies_are_two():
    base = [one for one in requires("latchgate") or () if "extra ==" not in one]
    assert sorted(re.split(r"[<>=;\[ ]", one)[0] for one in base) == ["msgspec", "pysqlite3"]


def test_the_version_is_told_in_one_voice():
    assert version("latchgate") == latchgate.__version__ == PROJECT["version"]


def test_there_is_one_command():
    (command,) = entry_points(group="console_scripts", name="latchgate")
    assert command.value == "latchgate.cli:main"
    assert callable(command.load())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The names of all files in a wheel of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (file,) = folder.glob("*.whl")
    with zipfile.ZipFile(file) as opened:
        return set(opened.namelist()), opened.read(
            next(name for name in opened.namelist() if name.endswith("/METADATA"))
        ).decode()


def test_a_wheel_holds_every_file_of_the_package_and_nothing_else(wheel):
    source = ROOT / "src"
    wanted = {
        str(path.relative_to(source))
        for path in (source / "latchgate").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    names, _ = wheel
    assert {name for name in names if ".dist-info/" not in name} == wanted


@pytest.mark.parametrize(
    "name",
    [
        "latchgate/py.typed",
        "latchgate/providers/latchgate.toml",
        *[f"latchgate/providers/{name}.toml" for name in providers.SHIPPED],
        "latchgate/store/migrations/env.py",
        "latchgate/store/migrations/versions/m0001_first.py",
    ],
)
def test_a_wheel_holds_what_is_read_at_run_time(wheel, name):
    assert name in wheel[0]


def test_a_wheel_carries_its_licence_and_its_extra(wheel):
    names, metadata = wheel
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "License-Expression: Apache-2.0" in metadata
    for extra in ("server", "asgi", "fastapi", "django", "flask"):
        assert f"Provides-Extra: {extra}" in metadata
    assert "Requires-Python: >=3.11" in metadata


def test_the_shipped_policies_can_be_read_from_the_package():
    for name in (providers.BUILT_IN, *(f"{one}.toml" for one in providers.SHIPPED)):
        assert "provider = " in providers.text(name)
