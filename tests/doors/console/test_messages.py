"""The template of catalogues holds every text of the console as it is in the source."""

import subprocess
import sys

import pytest
from scripts import messages
from tests.doors.console.visitor import Visitor
from tests.world import Server, latchgate


def test_the_template_is_current():
    command = [sys.executable, "scripts/messages.py", "--check"]
    made = subprocess.run(
        command, cwd=messages.ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert (made.returncode, made.stderr) == (0, "")


def test_a_stale_template_is_refused_and_says_what_it_lacks(tmp_path, monkeypatch, capsys):
    stale = messages.TEMPLATE.read_bytes().replace(b'msgid "Overview"', b'msgid "Underview"')
    kept = tmp_path / "latchgate.pot"
    kept.write_bytes(stale)
    monkeypatch.setattr(messages, "TEMPLATE", kept)
    monkeypatch.setattr(messages, "ROOT", tmp_path)
    assert messages.main(["--check"]) == 1
    told = capsys.readouterr().err
    assert "not in the template: 'Overview'" in told
    assert "make messages" in told
    assert kept.read_bytes() == stale


def test_texts_of_every_sort_are_found():
    found = {one.id for one in messages.extracted()}
    assert {
        "Skip to the content",  # of a template
        "Overview",  # N_
        "This form can only be sent from its own page.",  # FormError
        ("%(count)s code is left.", "%(count)s codes are left."),  # trans with a plural
    } <= found


def a_catalogue(folder, said):
    """Make a catalogue as the how-to does: begun, translated, compiled by Babel's program."""

    def pybabel(*arguments):
        command = [sys.executable, "-m", "babel.messages.frontend", "-q", *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=120)

    pybabel("init", "-i", str(messages.TEMPLATE), "-d", str(folder), "-D", "latchgate", "-l", "de")
    file = folder / "de/LC_MESSAGES/latchgate.po"
    text = file.read_text(encoding="utf-8")
    for one, translated in said.items():
        assert f'msgid "{one}"\nmsgstr ""' in text, one
        text = text.replace(f'msgid "{one}"\nmsgstr ""', f'msgid "{one}"\nmsgstr "{translated}"')
    file.write_text(text, encoding="utf-8")
    pybabel("compile", "-d", str(folder), "-D", "latchgate")


@pytest.fixture
def server(tmp_path):
    """One that is not started yet, with a folder of catalogues."""
    made = Server.made(tmp_path / "lg")
    (made.folder / "translations").mkdir()
    with made.config.open("a", encoding="utf-8") as config:
        config.write('\n[console]\ntranslations = "translations"\n')
    yield made
    if made.process is not None:
        made.kill()


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_a_german_catalogue_is_shown_to_who_asks_for_it_and_to_who_chooses_it(server):
    said = {
        "Sign in": "Anmelden",
        "English": "Deutsch",
        "The login name or the password is wrong.": "Das Passwort stimmt nicht.",
        "This page takes %(methods)s.": "Diese Seite kennt %(methods)s.",
    }
    a_catalogue(server.folder / "translations", said)
    server.start()
    visitor = Visitor(server)
    answer = visitor.ask("GET", "/sign-in", Accept_Language="de-AT, en;q=0.5")
    german = answer.body.decode()
    assert '<html lang="de" dir="ltr">' in german
    assert "<h1>Anmelden</h1>" in german
    assert '<option value="de" lang="de" selected>Deutsch</option>' in german
    assert "Login name" in german  # not translated: in English
    visitor.see("/sign-in")
    assert "<h1>Sign in</h1>" in visitor.page
    visitor.send("/language", {"language": "de", "next": "/sign-in"})
    visitor.see("/sign-in")
    assert "<h1>Anmelden</h1>" in visitor.page
    wrong = visitor.send("/sign-in", {"login": "a", "password": "b", "next": "/"})
    assert "Das Passwort stimmt nicht." in wrong.body.decode()
    assert "Diese Seite kennt POST." in visitor.ask("GET", "/language").body.decode()


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_a_server_does_not_start_with_a_catalogue_that_would_break_its_pages(server):
    a_catalogue(server.folder / "translations", {"Sign in": "<script>x</script>"})
    done = latchgate("serve", "--config", str(server.config))
    assert done.code != 0
    assert "translations/de/LC_MESSAGES/latchgate.mo" in done.err
    assert "tags, quotes or placeholders" in done.err
    assert "latchgate.db" not in done.err
