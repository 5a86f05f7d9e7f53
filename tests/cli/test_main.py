"""Every verb has its help and takes --json; whatever is typed wrongly is told, never thrown."""

from __future__ import annotations

import pytest
from tests.world import latchgate

from latchgate import __version__

VERBS = [
    ("init",),
    ("serve",),
    ("recover",),
    ("key", "create"),
    ("key", "list"),
    ("key", "show"),
    ("key", "revoke"),
    ("policy", "check"),
    ("policy", "apply"),
    ("explain",),
]
NOUNS = [("key",), ("policy",)]


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_has_help_and_takes_json(verb):
    done = latchgate(*verb, "--help")
    assert (done.code, done.err) == (0, "")
    assert "--json" in done.out
    assert "Usage: " in done.out


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_option_of_every_verb_is_explained(verb):
    from click.testing import CliRunner

    from latchgate.cli import main

    command = main
    for word in verb:
        command = command.get_command(None, word)  # type: ignore[assignment, arg-type]
    assert command.help
    for option in command.params:
        told = getattr(option, "help", None)
        choices = getattr(option.type, "choices", None)
        explained = told or choices or getattr(option, "show_default", False)
        assert explained or option.param_type_name == "argument", option.name
    assert CliRunner().invoke(command, ["-h"]).exit_code in {0, 2}


def test_the_command_lists_every_verb():
    done = latchgate("--help")
    assert done.code == 0
    for word in ("init", "serve", "recover", "key", "policy", "explain"):
        assert word in done.out


@pytest.mark.parametrize("noun", NOUNS, ids=" ".join)
def test_a_noun_lists_its_verbs(noun):
    done = latchgate(*noun, "--help")
    assert done.code == 0
    for verb in VERBS:
        if verb[:1] == noun:
            assert verb[1] in done.out


def test_the_version_is_told():
    done = latchgate("--version")
    assert (done.code, done.out) == (0, f"latchgate, version {__version__}\n")


@pytest.mark.parametrize(
    "typed",
    [
        ("nothing",),
        ("key", "nothing"),
        ("key", "create"),
        ("key", "show"),
        ("key", "revoke"),
        ("key", "show", "a", "b"),
        ("key", "list", "--limit", "0"),
        ("key", "list", "--limit", "1001"),
        ("key", "list", "--limit", "ten"),
        ("key", "create", "--service", "s"),
        ("key", "create", "--service", "s", "--name", "n", "--environment", "test"),
        ("key", "create", "--service", "s", "--name", "n", "--metadata", "novalue"),
        ("key", "create", "--service", "s", "--name", "n", "--metadata", "=v"),
        ("key", "create", "--service", "s", "--name", "n", "--no-scopes", "--scope", "a:b"),
        ("explain",),
        ("explain", "GET"),
        ("explain", "GET", "/", "-H", "nocolon"),
        ("explain", "GET", "/", "-H", ": v"),
        ("explain", "--id", "x", "GET", "/"),
        ("explain", "--id", "x", "-H", "A: b"),
        ("explain", "--id", "x", "--client", "::1"),
        ("init", "--listen", "nowhere"),
        ("init", "--listen", "unix:/x"),
        ("init", "--provider", "nobody"),
        ("serve", "--workers", "0"),
        ("serve", "--workers", "65"),
        ("serve", "--verify-listen", "unix:x"),
        ("serve", "--listen", "h:65536"),
        ("policy", "check", "--unknown"),
        ("--unknown",),
    ],
    ids=" ".join,
)
def test_a_wrong_call_exits_with_2_and_says_what_is_wrong(typed, tmp_path):
    done = latchgate(*typed, cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "Usage: " in done.err
    assert "Error" in done.err


@pytest.mark.parametrize("noun", NOUNS, ids=" ".join)
def test_a_noun_alone_shows_its_help(noun):
    done = latchgate(*noun)
    assert "Usage: " in done.out + done.err


def test_the_module_runs_like_the_command():
    assert latchgate("--version").out.startswith("latchgate, version")


def test_verbs_load_what_they_need_when_they_run():
    import subprocess
    import sys

    script = (
        "import sys, latchgate.cli; print('sqlalchemy' in sys.modules, 'httpx2' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False False\n"
