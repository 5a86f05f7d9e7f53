"""Files of tokens: whatever is wrong with them is a token that is not kept, and no more."""

from __future__ import annotations

import json
import os
import resource
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.client.issuer import Issuer, TokenCloud

from latchgate.client import token_cache
from latchgate.client.secret import Secret
from latchgate.client.token import Token
from latchgate.client.token_cache import Slot, TokenCache

NAMES = ("Issuer", "https://issuer.example")
TOKEN = Token(Secret("t-1"), 10.0, 20.0, 30.0, Secret("r-1"), {"user": "ü"}, after_refusal=True)
DAY = 86_400


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "tokens"


def slot(folder: Path, *, secret: str = "s", names: tuple[str, ...] = NAMES) -> Slot:
    return TokenCache(folder).slot(names, (Secret(secret),))


def keep(folder: Path, token: Token = TOKEN, *, secret: str = "s") -> bool:
    with slot(folder, secret=secret) as one:
        assert one.locked()
        return one.write(token)


def kept(folder: Path, *, secret: str = "s") -> Token | None:
    with slot(folder, secret=secret) as one:
        return one.read()


def file(folder: Path) -> Path:
    [found] = folder.glob("*.json")
    return found


def test_what_is_kept_is_found_again_over_or_not(folder):
    assert kept(folder) is None
    assert keep(folder)
    assert kept(folder) == TOKEN


def test_folder_and_files_are_the_users_alone_even_with_an_umask_of_nothing(folder):
    before = os.umask(0)
    try:
        keep(folder)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file(folder).stat().st_mode) == 0o600
    for one in (folder, folder.parent):
        assert stat.S_IMODE(one.stat().st_mode) == 0o700


def test_no_secret_is_in_a_name_and_the_credential_is_in_no_file(folder):
    keep(folder, secret="hunter2hunter2")
    assert "hunter2" not in file(folder).name + file(folder).read_text()
    assert len(json.loads(file(folder).read_text())["mark"]) == 4


def test_another_secret_does_not_find_it(folder):
    keep(folder)
    # 16 bits: that all of several go unnoticed does not happen.
    assert None in [kept(folder, secret=f"other-{number}") for number in range(4)]


def test_lists_of_names_that_run_together_alike_have_places_of_their_own(folder):
    places = {slot(folder, names=names)._name for names in (("a", "bc"), ("ab", "c"), ("abc",))}
    assert len(places) == 3


def spoiled(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def spoil(file: Path) -> None:
        told = json.loads(file.read_text())
        change(told)
        file.write_text(json.dumps(told))

    return spoil


def linked(file: Path) -> None:
    elsewhere = file.parent.parent / "elsewhere.json"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)


def piped(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def a_folder_that_is_a_link(file: Path) -> None:
    elsewhere = file.parent.parent / "elsewhere"
    file.parent.rename(elsewhere)
    file.parent.symlink_to(elsewhere)


SPOILERS: dict[str, Callable[[Path], object]] = {
    "half-written": lambda file: file.write_text(file.read_text()[:100]),
    "empty": lambda file: file.write_bytes(b""),
    "zeros": lambda file: file.write_bytes(bytes(300)),
    "no UTF-8": lambda file: file.write_bytes(b"\xff" + file.read_bytes()),
    "a list": lambda file: file.write_text("[]"),
    "too deep": lambda file: file.write_text("[" * 60_000),
    "too large": lambda file: file.write_text(file.read_text() + " " * 70_000),
    "another version": spoiled(lambda told: told.update(version=2)),
    "a mark of nobody": spoiled(lambda told: told.update(mark="")),
    "a salt that is none": spoiled(lambda told: told.update(salt="zz")),
    "a time that is a text": spoiled(lambda told: told.update(ends_at="never")),
    "a time that never comes": spoiled(lambda told: told.update(ends_at=float("inf"))),
    "a time of 400 digits": spoiled(lambda told: told.update(ends_at=10**400)),
    "a time that is true": spoiled(lambda told: told.update(got_at=True)),
    "a token that is a number": spoiled(lambda told: told.update(token=1)),
    "half a character": spoiled(lambda told: told.update(token="\ud800")),
    "facts that are a list": spoiled(lambda told: told.update(facts=["user"])),
    "a field less": spoiled(lambda told: told.pop("refresh")),
    "a link": linked,
    "a pipe": piped,
    "a folder": a_folder,
    "a file that others may read": lambda file: file.chmod(0o640),
    "a file that others may write": lambda file: file.chmod(0o602),
    "a folder that others may read": lambda file: file.parent.chmod(0o750),
    "a folder that others may write": lambda file: file.parent.chmod(0o702),
    "a folder that is a link": a_folder_that_is_a_link,
}


@pytest.mark.parametrize("spoil", SPOILERS.values(), ids=SPOILERS)
def test_what_is_spoiled_is_not_trusted_and_costs_one_exchange(folder, spoil):
    issuer = Issuer()
    assert TokenCloud(TokenCache(folder)).text(issuer) == "token-1"
    assert TokenCloud(TokenCache(folder)).text(issuer) == "token-1"
    spoil(file(folder))
    assert TokenCloud(TokenCache(folder)).text(issuer) == "token-2"


@pytest.mark.parametrize("name", [name for name in SPOILERS if "folder" not in name])
def test_a_spoiled_file_is_replaced(folder, name):
    keep(folder)
    SPOILERS[name](file(folder))
    assert keep(folder)
    assert kept(folder) == TOKEN


def test_what_belongs_to_somebody_else_is_not_trusted(folder, monkeypatch):
    keep(folder)
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    assert kept(folder) is None
    assert not keep(folder)


def test_a_lock_file_that_is_a_link_is_not_followed(folder):
    keep(folder)
    victim = folder.parent / "victim"
    file(folder).with_suffix(".lock").symlink_to(victim)
    assert not keep(folder)
    assert not victim.exists()


def test_a_file_in_the_way_of_writing_is_replaced_and_a_link_there_not_followed(folder):
    keep(folder)
    victim = folder.parent / "victim"
    file(folder).with_suffix(".new").symlink_to(victim)
    assert keep(folder)
    assert not victim.exists()


@pytest.mark.parametrize(
    "place", ["/proc/self/latchgate/tokens", "/dev/null/tokens", "/nul\0/tokens", "/" + "x" * 300]
)
def test_where_no_folder_can_be_made_there_is_a_token_all_the_same(place):
    issuer, cloud = Issuer(), TokenCloud(TokenCache(Path(place)))
    assert cloud.text(issuer) == "token-1"
    assert cloud.text(issuer) == "token-1"
    cloud.forget()


def test_a_full_disk_leaves_the_old_file_whole_and_nothing_beside(folder):
    keep(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        done = keep(folder, Token(Secret("t-2"), 11.0, 21.0, 31.0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not done
    assert kept(folder) == TOKEN
    assert [one.suffix for one in folder.iterdir()] == [".json"]


def test_what_is_too_large_to_be_read_is_not_kept(folder):
    keep(folder)
    assert not keep(folder, Token(Secret("t" * 70_000), 11.0, 21.0, 31.0))
    assert kept(folder) == TOKEN


def test_the_lock_is_held_by_one_and_its_file_is_removed_afterwards(folder):
    with slot(folder) as first, slot(folder) as second:
        assert first.locked()
        assert not second.locked()
        assert not second.write(TOKEN)
        first.__exit__(None, None, None)
        assert second.locked()
        assert second.write(TOKEN)
    assert [one.suffix for one in folder.iterdir()] == [".json"]


def test_a_lock_that_was_taken_over_goes_to_one_and_its_old_holder_writes_no_more(folder):
    with slot(folder) as stuck, slot(folder) as first, slot(folder) as second:
        assert stuck.locked()
        assert not first.locked()
        assert not second.locked()
        first.take_over()
        assert first.locked()
        second.take_over()  # too late: what it waited for is gone already
        assert not second.locked()
        assert not stuck.write(TOKEN)
        stuck.__exit__(None, None, None)
        assert first.write(TOKEN)
        assert not second.locked()


def test_what_was_left_behind_long_ago_is_swept_up_and_nothing_else(folder):
    keep(folder)
    old = {"a.json": 401, "b.new": 2, "c.lock": 2}
    young = {"d.json": 399, "e.new": 0, "f.lock": 0, "g.txt": 9999}
    for name, days in (old | young).items():
        (folder / name).touch()
        before = (folder / name).stat().st_mtime - days * DAY
        os.utime(folder / name, (before, before))
    keep(folder)
    assert {one.name for one in folder.iterdir()} == {*young, file_name(folder)}


def file_name(folder: Path) -> str:
    return slot(folder)._name + ".json"


def test_without_flock_nothing_is_shared(folder, monkeypatch):
    monkeypatch.setattr(token_cache, "_SHARED", False)
    issuer = Issuer()
    assert TokenCloud(TokenCache(folder)).text(issuer) == "token-1"
    assert TokenCloud(TokenCache(folder)).text(issuer) == "token-2"
    assert not folder.exists()


def test_the_folder_is_below_xdg_cache_home_unless_that_is_relative(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert TokenCache().folder == Path("/elsewhere/latchgate/tokens")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert TokenCache().folder == Path("/home/me/.cache/latchgate/tokens")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert TokenCache().folder == Path("/home/me/.cache/latchgate/tokens")


def test_a_user_without_a_home_has_a_token_all_the_same(monkeypatch):
    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert TokenCloud(TokenCache()).text(Issuer()) == "token-1"
