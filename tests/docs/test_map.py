"""docs/map.md names every file of the program, and none that isn't there."""

import re

from tests.docs.transcript import ROOT

SOURCE = ROOT / "src/latchgate"
NAMED = set(
    re.findall(r"`([\w./]+\.(?:py|toml|md)|[\w./]+/)`", (ROOT / "docs/map.md").read_text("utf-8"))
)
ONLY_SAY_WHAT_A_FOLDER_IS = {
    str(file.relative_to(SOURCE))
    for file in SOURCE.rglob("__init__.py")
    if len(file.read_text(encoding="utf-8").splitlines()) < 10
}


def test_every_file_of_the_program_is_on_the_map():
    files = {str(file.relative_to(SOURCE)) for file in SOURCE.rglob("*.py")}
    files |= {str(file.relative_to(SOURCE)) for file in SOURCE.rglob("*.toml")}
    files -= {"__init__.py", "core/dialects/__init__.py", *ONLY_SAY_WHAT_A_FOLDER_IS} - NAMED
    assert sorted(files - NAMED) == []


def test_everything_on_the_map_is_there():
    missing = [
        name
        for name in NAMED - {"latchgate.toml"}  # the operator's, made by init
        if not (SOURCE / name).exists() and not (ROOT / name).exists()
    ]
    assert missing == []
