"""Pictures of the console: each is shown, each that is shown is there, and no page lacks one."""

import re

from tests.docs.transcript import ROOT
from tests.doors.console.declared import declared

from latchgate.doors.console.menu import Menu

FOLDER = ROOT / "docs" / "screenshots"
KILOBYTES = 150
_PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
DOCUMENTS = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
SHOWN = [
    (page, words, (page.parent / path).resolve())
    for page in DOCUMENTS
    for words, path in _PICTURE.findall(page.read_text(encoding="utf-8"))
]


def test_every_picture_that_a_document_shows_is_there_and_told_in_words():
    assert SHOWN
    wrong = [
        (page.name, file.name) for page, words, file in SHOWN if not words or not file.exists()
    ]
    assert wrong == []


def test_every_picture_is_shown_and_none_is_heavy():
    files = set(FOLDER.glob("*.png"))
    assert files - {file for *_, file in SHOWN} == set()
    assert [one.name for one in files if one.stat().st_size > KILOBYTES * 1_000] == []


def test_every_page_of_the_menu_has_a_picture():
    entries = [entry for group in Menu.of(declared()).groups for entry in group.entries]
    named = {entry.path.strip("/") for entry in entries}
    assert named - {file.stem for file in FOLDER.glob("*.png")} == set()
