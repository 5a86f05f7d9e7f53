"""The keyring: our own entries, UpCloud's, and one that stays locked."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Mapping

import pytest
from tests.client.sources.written import lacking, revealed

from latchgate.client import CredentialInvalid, SourceUnreadable, UpCloud
from latchgate.client.clouds.kakaocloud import WANTED as KAKAOCLOUD
from latchgate.client.clouds.upcloud import WANTED as UPCLOUD
from latchgate.client.clouds.wayscloud import WANTED as WAYSCLOUD
from latchgate.client.sources import Keyring
from latchgate.client.sources.keyring import Passwords, forget, keep

_GO = "go-keyring-base64:"


def _holding(entries: Mapping[tuple[str, str], str]) -> Passwords:
    return lambda service, user: entries.get((service, user))


def _go(text: str) -> str:
    return _GO + base64.b64encode(text.encode()).decode()


def test_our_own_entry_of_the_cloud_or_of_a_name_is_fields_or_one_secret():
    held = _holding(
        {
            ("latchgate", "kakaocloud"): json.dumps({"access_key_id": "kid", "secret": "5ecret"}),
            ("latchgate", "shop"): "ucat_x",
        }
    )
    found = Keyring(passwords=held).look(KAKAOCLOUD)
    assert revealed(found) == {"access_key_id": "kid", "secret": "5ecret"}
    assert found.where == "keyring latchgate/kakaocloud"
    assert revealed(Keyring("shop", passwords=held).look(UPCLOUD)) == {"token": "ucat_x"}
    named = Keyring("shop", known={"username": "alice"}, passwords=held)
    assert revealed(named.look(UPCLOUD)) == {"username": "alice", "password": "ucat_x"}
    assert lacking(Keyring("none", passwords=held).look(UPCLOUD)).unreadable
    assert not lacking(Keyring(passwords=held).look(WAYSCLOUD)).unreadable


@pytest.mark.parametrize("spelled", [str, _go])
def test_upclouds_own_entries_are_a_token_and_the_password_of_who_the_environment_names(
    spelled, monkeypatch
):
    held = _holding({("UpCloud", ""): spelled("ucat_x"), ("UpCloud", "alice"): spelled("pä55")})
    assert revealed(Keyring(passwords=held).look(UPCLOUD)) == {"token": "ucat_x"}
    monkeypatch.setenv("UPCLOUD_USERNAME", "alice")
    found = Keyring(passwords=held).look(UPCLOUD)
    assert revealed(found) == {"username": "alice", "password": "pä55"}
    assert found.where == "keyring UpCloud/alice"
    monkeypatch.setenv("UPCLOUD_USERNAME", "bob")
    assert revealed(Keyring(passwords=held).look(UPCLOUD)) == {"token": "ucat_x"}
    assert lacking(Keyring(passwords=held).look(WAYSCLOUD)).why == "no such entry"


@pytest.mark.parametrize("value", ["5ecret!", "5ecre", "/w=="])
def test_what_claims_to_be_base64_and_is_none_is_refused_and_not_shown(value):
    held = _holding({("UpCloud", ""): _GO + value})
    with pytest.raises(SourceUnreadable, match="is no base64 of a text") as told:
        Keyring(passwords=held).look(UPCLOUD)
    assert value not in str(told.value)
    assert told.value.__context__ is None


def test_an_entry_that_contradicts_itself_is_refused():
    entry = json.dumps({"token": "x", "username": "u", "password": "y"})
    with pytest.raises(CredentialInvalid, match="both token and password"):
        Keyring(passwords=_holding({("latchgate", "upcloud"): entry})).look(UPCLOUD)


def test_one_that_does_not_answer_holds_nobody_up_and_is_not_asked_again_meanwhile():
    unlocked, asked = threading.Event(), []

    def passwords(service: str, user: str) -> str | None:
        asked.append(user)
        unlocked.wait(120)
        return "ucat_x"

    hanging = Keyring(timeout=0.05, passwords=passwords)
    told = lacking(hanging.look(UPCLOUD))
    assert str(told) == ("keyring: locked, or not answering: nobody unlocked it within 0.05 s")
    assert told.unreadable
    assert "an earlier question is not answered yet" in str(hanging.look(UPCLOUD))
    with pytest.raises(SourceUnreadable, match=r"^UpCloud: keyring: locked"):
        UpCloud(sources=(hanging,))
    assert asked == ["upcloud"]
    unlocked.set()
    patient = Keyring(timeout=30, passwords=passwords)
    limit = time.monotonic() + 30
    while getattr(found := patient.look(UPCLOUD), "unreadable", False):
        assert time.monotonic() < limit, found
        time.sleep(0.01)
    assert revealed(found) == {"token": "ucat_x"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("KeyringLocked", "locked"),
        ("NoKeyringError", "this system has none that can be used"),
        ("InitError", "can't be opened (InitError)"),
    ],
)
def test_what_a_keyring_refuses_with_is_told_by_its_name(name, why):
    import keyring.errors

    def passwords(service: str, user: str) -> str | None:
        raise getattr(keyring.errors, name)("5ecret")

    told = lacking(Keyring(passwords=passwords).look(UPCLOUD))
    assert (told.why, told.unreadable) == (why, True)


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert lacking(Keyring().look(UPCLOUD)).why == (
        "not installed: pip install 'latchgate[keyring]'"
    )
    with pytest.raises(SourceUnreadable, match=r"pip install 'latchgate\[keyring\]'"):
        keep("shop", "upcloud", {"token": "ucat_x"})
    with pytest.raises(SourceUnreadable, match=r"pip install 'latchgate\[keyring\]'"):
        forget("shop")


def test_its_repr_says_the_entrys_name():
    assert repr(Keyring()) == "Keyring()"
    assert repr(Keyring("shop", known={"username": "alice"})) == "Keyring('shop')"


_PROGRAM = """
import json
import os
import sys

import keyring
import secretstorage
from jeepney import message_bus
from jeepney.io.blocking import open_dbus_connection
from upcloud_api.credentials import Credentials

from latchgate.client import UpCloud
from latchgate.client.clouds.upcloud import WANTED
from latchgate.client.errors import CredentialMissing, SourceUnreadable
from latchgate.client.sources import Keyring
from latchgate.client.sources.keyring import forget, keep

told = {"backend": type(keyring.get_keyring()).__module__}
keyring.set_password("UpCloud", "", "go-keyring-base64:dWNhdF9zZWNyZXQ=")
keyring.set_password("UpCloud", "alice", "pa55")
found = Keyring(timeout=60).look(WANTED)
told["token"] = found.fields["token"].reveal()
told["theirs"] = Credentials.parse().authorization
os.environ["UPCLOUD_USERNAME"] = "alice"
told["password"] = Keyring(timeout=60).look(WANTED).fields["password"].reveal()
del os.environ["UPCLOUD_USERNAME"]

keep("shop", "upcloud", {"token": "ucat_shop"}, timeout=60)
told["kept"] = Keyring("shop", timeout=60).look(WANTED).fields["token"].reveal()
told["forgotten"] = [forget("shop", timeout=60), forget("shop", timeout=60)]

secretstorage.get_default_collection(secretstorage.dbus_init()).lock()
try:
    UpCloud()
except CredentialMissing as error:
    told["tried"] = error.tried
for name, change in (
    ("named", lambda: UpCloud(sources=(Keyring("shop"),))),
    ("keep", lambda: keep("shop", "upcloud", {"token": "ucat_shop"})),
):
    try:
        change()
    except SourceUnreadable as error:
        told[name] = str(error)

# A desktop's dialog that nobody answers.
desktop = open_dbus_connection(bus="SESSION")
desktop.send_and_get_reply(message_bus.RequestName("org.gnome.keyring.SystemPrompter"))
told["dialog"] = str(Keyring(timeout=1).look(WANTED))
told["meanwhile"] = str(Keyring().look(WANTED))
json.dump(told, sys.stdout)
"""


@pytest.mark.e2e
def test_a_real_keyring_gives_upclouds_entry_and_ours_and_says_when_it_is_locked(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    # Its own bus and daemon, which end with the program; nothing of who runs this is touched.
    script = textwrap.dedent("""
        printf '%s' a-password | gnome-keyring-daemon --unlock --components=secrets >&2 || exit 9
        exec "$@"
    """)
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    command = ["dbus-run-session", "--", "sh", "-c", script, "sh", sys.executable, str(program)]
    ended = subprocess.run(
        command,
        env={
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "XDG_RUNTIME_DIR": str(runtime),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told.pop("tried")[-2] == "keyring: locked"
    assert told == {
        "backend": "keyring.backends.SecretService",
        "token": "ucat_secret",
        "theirs": "Bearer ucat_secret",
        "password": "pa55",
        "kept": "ucat_shop",
        "forgotten": [True, False],
        "named": "UpCloud: keyring: locked",
        "keep": "keyring: locked",
        "dialog": "keyring: locked, or not answering: nobody unlocked it within 1 s",
        "meanwhile": "keyring: locked: an earlier question is not answered yet",
    }
