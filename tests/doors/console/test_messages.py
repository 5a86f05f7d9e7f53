"""The template of catalogues holds every text of the console as it is in the source."""

import subprocess
import sys

from scripts import messages


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
