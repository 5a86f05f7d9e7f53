"""Which language a page is shown in, and which catalogues are taken."""

import gettext
import struct

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo

from latchgate.doors.console.languages import ENGLISH, LanguageError, Languages

GERMAN = {"Overview": "Übersicht", "Sign in": "Anmelden"}


def write(folder, tag, texts=GERMAN, *, name=None):
    """Compile a catalogue; returns its file."""
    made = Catalog(locale="de", project="Latchgate", charset="utf-8", fuzzy=False)
    for text, said in texts.items():
        made.add(text, said)
    if name is not None:
        made.add("English", name, context="what this language calls itself")
    file = folder / tag / "LC_MESSAGES/latchgate.mo"
    file.parent.mkdir(parents=True)
    with file.open("wb") as opened:
        write_mo(opened, made)
    return file


@pytest.fixture
def languages(tmp_path):
    write(tmp_path, "de", name="Deutsch")
    write(tmp_path, "de-CH")
    write(tmp_path, "pt-BR", name="Português")
    return Languages.beside(tmp_path)


def test_english_is_there_without_any_folder():
    found = Languages.beside(None)
    assert list(found.known) == [ENGLISH]
    assert found.chosen(None, "de").words("Overview", {}) == "Overview"


def test_each_language_says_what_it_is_called_or_goes_by_its_tag(languages):
    named = {tag: one.name for tag, one in languages.known.items()}
    assert named == {"en": "English", "de": "Deutsch", "de-CH": "de-CH", "pt-BR": "Português"}


@pytest.mark.parametrize(
    ("accepted", "tag"),
    [
        ("de", "de"),
        ("DE-AT", "de"),  # RFC 4647 §3.4: cut shorter until one is there
        ("de-ch-1996", "de-CH"),
        ("fr, pt-br;q=0.9, de;q=0.8", "pt-BR"),
        ("de;q=0.2, pt-BR;q=0.3", "pt-BR"),
        ("de;Q=0.5 , en ; q=0.4", "de"),
        ("pt", "en"),  # a wish is never made narrower
        ("de;q=0, en", "en"),
        ("de;q=0.000", "en"),
        ("fr", "en"),
        ("*", "en"),
        ("*, de;q=0.1", "de"),
        ("", "en"),
        (None, "en"),
    ],
)
def test_a_browsers_wish_is_looked_up(languages, accepted, tag):
    assert languages.chosen(None, accepted).tag == tag


@pytest.mark.parametrize(
    "hostile",
    [
        "../../../etc/passwd",
        "de/../en",
        "de;q=1.5",
        "de;q=-1",
        "de;q=nan",
        "de;q=1e9",
        "de;q=",
        "-de",
        "de--ch",
        "\x00de",
        "d\u00e9",
        "de" * 400,
        ",".join(["a-b-c-d-e-f"] * 10_000),
        "x-" * 10_000,
    ],
)
def test_a_hostile_wish_gives_english(languages, hostile):
    assert languages.chosen(None, hostile).tag == ENGLISH


@pytest.mark.parametrize("wish", ["", "xx", "DE", "../de", "de\n", "None", "de;q=1"])
def test_a_choice_that_is_none_counts_for_nothing(languages, wish):
    assert languages.chosen(wish, "pt-BR").tag == "pt-BR"


def test_a_choice_goes_before_what_the_browser_likes(languages):
    assert languages.chosen("de-CH", "pt-BR").tag == "de-CH"
    assert languages.chosen("en", "de").tag == "en"


def test_a_text_that_a_catalogue_lacks_is_english_and_values_are_put_in(tmp_path):
    write(tmp_path, "de", {"%(n)s left": "noch %(n)s"})
    german = Languages.beside(tmp_path).known["de"]
    assert german.words("%(n)s left", {"n": 3}) == "noch 3"
    assert german.words("Audit", {}) == "Audit"
    assert german.words("100 %", {}) == "100 %"
    assert german.words("", {}) == ""  # of gettext that is the catalogue's header


@pytest.mark.parametrize(("tag", "direction"), [("ar-EG", "rtl"), ("he", "rtl"), ("de", "ltr")])
def test_lines_begin_where_the_language_begins_them(tmp_path, tag, direction):
    write(tmp_path, tag)
    assert Languages.beside(tmp_path).known[tag].direction == direction


@pytest.mark.parametrize("tag", ["deutsch", "DE", "de-", "d", "x-de"])
def test_a_folder_that_is_no_tag_is_named(tmp_path, tag):
    file = write(tmp_path, tag)
    with pytest.raises(LanguageError, match="is no language tag such as de or pt-BR") as refused:
        Languages.beside(tmp_path)
    assert str(file) in str(refused.value)


def test_a_folder_may_be_named_as_gettexts_tools_do_but_not_both_ways(tmp_path):
    write(tmp_path, "pt_BR")
    assert list(Languages.beside(tmp_path).known) == ["en", "pt-BR"]
    write(tmp_path, "pt-BR")
    with pytest.raises(LanguageError, match="there is a catalogue of pt-BR beside it already"):
        Languages.beside(tmp_path)


def damaged(file):
    whole = file.read_bytes()
    # More texts than there are; the end cut off; next to nothing; nothing; another sort of file.
    yield whole[:8] + struct.pack("<I", 10_000) + whole[12:]
    yield whole[: len(whole) // 2]
    yield whole[:10]
    yield b""
    yield b"<!doctype html>" * 10


def test_a_catalogue_that_cannot_be_read_is_named(tmp_path):
    file = write(tmp_path, "de")
    for held in damaged(file):
        file.write_bytes(held)
        with pytest.raises(LanguageError, match="it is no catalogue that can be read") as refused:
            Languages.beside(tmp_path)
        assert str(file) in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Hello %(name)s", "Hallo %(nom)s"),
        ("Hello", "Hallo 100 %"),
        ("Hello", 'Hal<a href="https://evil.example">lo</a>'),
        ("<b>Hello</b>", "<b onclick=x>Hallo</b>"),
        ("Hello", "Hallo<script"),
        ("Hello", 'Hallo" autofocus onfocus="'),
        (("%(n)s left", "%(n)s left"), ("noch %(n)s", "noch %(m)s")),
    ],
)
def test_a_translation_that_would_break_a_page_is_named(tmp_path, text, said):
    file = write(tmp_path, "de", {text: said})
    with pytest.raises(LanguageError, match="tags, quotes or placeholders") as refused:
        Languages.beside(tmp_path)
    assert str(file) in str(refused.value)


def test_a_plural_may_name_its_count_where_the_singular_does_not(tmp_path):
    write(tmp_path, "de", {("One is left", "%(n)s are left"): ("Einer", "Noch %(n)s")})
    texts = Languages.beside(tmp_path).known["de"].texts
    assert isinstance(texts, gettext.GNUTranslations)
    assert texts.ngettext("One is left", "%(n)s are left", 2) == "Noch %(n)s"
