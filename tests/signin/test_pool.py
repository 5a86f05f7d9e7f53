"""Presented passwords: worked out once, remembered for a lease, throttled, bounded."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import wait

import msgspec
import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from latchgate.core.model import Refused
from latchgate.core.network import Address, parse_address
from latchgate.core.reason import Reason
from latchgate.core.secret import Secret
from latchgate.signin import password as password_module
from latchgate.signin import pool as pool_module
from latchgate.signin.password import hash_like, hash_password
from latchgate.signin.pool import LEASE_SECONDS, MAX_REMEMBERED, MAX_WAITING, Passwords
from latchgate.signin.throttle import FREE_FAILURES

HERE = parse_address("192.0.2.1")


class Guess(msgspec.Struct, frozen=True):
    """One presented password."""

    password: Secret
    like: bytes | None
    account: str = "n:ada"
    client: Address | None = HERE
    credential_id: str = "c-1"


def stored(password: str, salt: bytes = b"salt-of-16-bytes") -> bytes:
    """Return a cheap hash in PHC form, made by another library's own hand."""
    made = Argon2id(salt=salt, length=32, iterations=1, lanes=1, memory_cost=32)
    return made.derive_phc_encoded(password.encode()).encode()


RIGHT = stored("right")


def guess(text: str, like: bytes | None = RIGHT, **how) -> Guess:
    return Guess(Secret(text), like, **how)


class Clock:
    """A clock to turn."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def passwords(clock):
    made = Passwords(ticks=clock, entropy=os.urandom)
    yield made
    made.close()


def done(passwords: Passwords, one: Guess) -> bytes | Refused | None:
    """Do what an engine does: ask memory, work it out, ask memory again."""
    found = passwords.recall(one)
    if found is not None:
        return found
    return passwords.submit(one).result(30) or passwords.recall(one)


@pytest.fixture
def held(monkeypatch):
    """Hold every hash back until it is let go; what was worked out is in the list."""
    go, worked = threading.Event(), []
    real = hash_like

    def slow(password: str, like: str) -> str:
        assert go.wait(30)
        worked.append(password)
        return real(password, like)

    monkeypatch.setattr(pool_module, "hash_like", slow)
    return go, worked


def test_a_right_password_has_the_stored_digest_and_a_wrong_one_has_not(passwords):
    assert done(passwords, guess("right")) == RIGHT
    wrong = done(passwords, guess("wrong"))
    assert isinstance(wrong, bytes)
    assert wrong != RIGHT


def test_both_are_remembered_for_the_lease_and_no_longer(passwords, clock):
    for text in ("right", "wrong"):
        first = done(passwords, guess(text))
        assert passwords.recall(guess(text)) == first
        clock.now += LEASE_SECONDS - 0.001
        assert passwords.recall(guess(text)) == first
        clock.now += 0.001
        assert passwords.recall(guess(text)) is None


def test_a_changed_password_makes_what_was_remembered_useless_at_once(passwords):
    assert done(passwords, guess("right")) == RIGHT
    for like in (stored("another"), stored("right", b"another salt 16b"), None):
        assert passwords.recall(guess("right", like)) is None


def test_d4_32_what_is_remembered_is_under_every_part_by_itself(passwords):
    done(passwords, guess("bc", account="a"))
    for account, text in (("ab", "c"), ("", "abc"), ("abc", ""), ("b", "ac")):
        assert passwords.recall(guess(text, account=account)) is None
    done(passwords, guess("x", RIGHT[:-1], account="y"))
    assert passwords.recall(guess("x", RIGHT[:-2], account=RIGHT[-2:-1].decode() + "y")) is None


def test_what_is_remembered_is_named_by_a_key_of_the_process(passwords, clock):
    other = Passwords(ticks=clock, entropy=os.urandom)
    try:
        assert passwords._name(guess("right")) != other._name(guess("right"))
        assert b"right" not in passwords._name(guess("right"))
        assert "right" not in repr(vars(passwords))
    finally:
        other.close()


def test_memory_is_bounded(passwords, monkeypatch):
    monkeypatch.setattr(pool_module, "MAX_REMEMBERED", 3)
    assert MAX_REMEMBERED == 10_000
    for number in range(6):
        done(passwords, guess("wrong", account=f"n:{number}"))
    assert len(passwords._known) == 3
    assert passwords.recall(guess("wrong", account="n:0")) is None
    assert passwords.recall(guess("wrong", account="n:5")) is not None


def test_the_same_guess_at_once_is_worked_out_once_and_counted_once(passwords, held):
    go, worked = held
    futures = [passwords.submit(guess("right")) for _ in range(50)]
    assert len(set(map(id, futures))) == 1
    assert passwords.recall(guess("right")) is None
    go.set()
    wait(futures, 30)
    assert worked == ["right"]
    assert passwords.recall(guess("right")) == RIGHT


def test_d4_28_parallel_guesses_are_each_counted_before_any_is_known_to_be_wrong(passwords, held):
    go, worked = held
    guesses = [guess(f"wrong {number}") for number in range(20)]
    # All of them ask first, as requests do that arrive together.
    assert [passwords.recall(one) for one in guesses] == [None] * 20
    futures = [passwords.submit(one) for one in guesses]
    go.set()
    told = [future.result(30) for future in futures]
    assert told[:FREE_FAILURES] == [None] * FREE_FAILURES
    assert {one.reason for one in told[FREE_FAILURES:] if one} == {Reason.PASSWORD_THROTTLED}
    assert len(worked) == FREE_FAILURES


def test_d4_31_the_queue_is_bounded_and_says_busy(passwords, held):
    go, worked = held
    many = [
        guess("x", account=f"n:{n}", client=parse_address(f"10.0.0.{n}"))
        for n in range(MAX_WAITING)
    ]
    futures = [passwords.submit(one) for one in many]
    more = passwords.submit(guess("x", account="n:more")).result(1)
    assert more is not None
    assert more.reason is Reason.PASSWORDS_BUSY
    go.set()
    assert [future.result(30) for future in futures] == [None] * MAX_WAITING
    assert len(worked) == MAX_WAITING
    assert done(passwords, guess("right", account="n:more")) == RIGHT


def test_d4_31_whoever_stops_waiting_does_not_give_its_place_back(passwords, held):
    go, worked = held
    first = passwords.submit(guess("x", account="n:first"))
    until = time.monotonic() + 10
    while not first.running():
        assert time.monotonic() < until
    assert not first.cancel()
    assert len(passwords._under_way) == 1
    go.set()
    first.result(30)
    assert worked == ["x"]


def test_after_too_many_wrong_ones_no_work_is_done_but_a_remembered_one_still_holds(
    passwords, clock
):
    assert done(passwords, guess("right")) == RIGHT
    for number in range(FREE_FAILURES):
        assert isinstance(done(passwords, guess(f"wrong {number}")), bytes)
    refused = done(passwords, guess("one more"))
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.PASSWORD_THROTTLED
    assert done(passwords, guess("right")) == RIGHT  # who is in stays in
    clock.now += LEASE_SECONDS
    assert done(passwords, guess("right")) == RIGHT  # and comes in again after the wait


def test_a_wrong_guess_repeated_is_no_new_guess(passwords):
    for _ in range(FREE_FAILURES * 3):
        assert isinstance(done(passwords, guess("wrong")), bytes)
    assert done(passwords, guess("right")) == RIGHT


@pytest.mark.parametrize("like", [RIGHT, None], ids=["an account", "none"])
def test_d4_27_the_same_is_told_whether_there_is_an_account_or_not(passwords, monkeypatch, like):
    monkeypatch.setattr(pool_module, "hash_password", lambda *_: stored("nobody").decode())
    told = [type(done(passwords, guess(f"wrong {number}", like))) for number in range(9)]
    assert told == [bytes] * FREE_FAILURES + [Refused] * (9 - FREE_FAILURES)


def test_d4_27_an_account_that_is_not_there_costs_as_much_work_as_one_that_is(passwords):
    like = hash_password("right", bytes(16)).encode()

    def work(one: Guess) -> float:
        begun = time.process_time()
        assert passwords.submit(one).result(60) is None
        return time.process_time() - begun

    work(guess("warm", None, account="n:warm"))
    known = min(work(guess(f"k{n}", like, account=f"n:k{n}")) for n in range(3))
    unknown = min(work(guess(f"u{n}", None, account=f"n:u{n}")) for n in range(3))
    assert 0.5 < unknown / known < 2


def test_d4_27_no_digest_for_nobody_is_ever_right(passwords, monkeypatch):
    monkeypatch.setattr(pool_module, "hash_password", lambda *_: stored("nobody").decode())
    assert passwords.submit(guess("nobody", None)).result(30) is None
    # A guess at nobody is a failure whatever it derives.
    assert passwords._throttle._counts["n:ada", ""].failures == 1


@pytest.mark.parametrize(
    "like",
    [
        b"",
        b"\xff",
        b"plain",
        b"$2b$12$abcdefghijklmnopqrstuv",
        b"$argon2id$v=19$m=999999,t=3,p=4$c2FsdHNhbHRzYWx0$" + b"A" * 43,
        b"$argon2id$v=19$m=65536,t=99,p=4$c2FsdHNhbHRzYWx0$" + b"A" * 43,
        b"$argon2id$v=19$m=65536,t=3,p=99$c2FsdHNhbHRzYWx0$" + b"A" * 43,
        b"$argon2id$v=19$m=1,t=1,p=4$c2FsdHNhbHRzYWx0$" + b"A" * 43,
        b"$argon2id$v=19$m=65536,t=0,p=4$c2FsdHNhbHRzYWx0$" + b"A" * 43,
    ],
    ids=range(9),
)
def test_d4_31_a_stored_hash_of_unbounded_cost_or_another_make_refuses_and_costs_nothing(
    passwords, caplog, monkeypatch, like
):
    cost = []  # KiB times rounds
    derive = password_module._derive

    def counted(password, salt, memory, iterations, lanes, length):
        cost.append(memory * iterations)
        return derive(password, salt, memory, iterations, lanes, length)

    monkeypatch.setattr(password_module, "_derive", counted)
    refused = passwords.submit(guess("hunter2", like)).result(30)
    assert sum(cost) <= 1  # which argon2 itself refuses
    assert refused is not None
    assert refused.reason is Reason.FAULT
    assert "hunter2" not in caplog.text


def test_whatever_else_fails_is_a_refusal_and_shows_no_password(passwords, monkeypatch, caplog):
    def fail(*_: object) -> str:
        msg = "disk"
        raise OSError(msg)

    monkeypatch.setattr(pool_module, "hash_like", fail)
    refused = passwords.submit(guess("hunter2")).result(30)
    assert refused is not None
    assert refused.reason is Reason.FAULT
    assert "hunter2" not in caplog.text


def test_its_threads_have_the_lowest_priority_and_nobody_elses(passwords, monkeypatch):
    found: list[int] = []

    def note(*_: object) -> str:
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return RIGHT.decode()

    monkeypatch.setattr(pool_module, "hash_like", note)
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    passwords.submit(guess("x")).result(30)
    assert found == [19]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_a_closed_pool_refuses(clock):
    passwords = Passwords(ticks=clock, entropy=os.urandom)
    passwords.close()
    refused = passwords.submit(guess("right")).result(1)
    assert refused is not None
    assert refused.reason is Reason.FAULT


def test_a_new_password_is_hashed_so_that_it_is_accepted_afterwards(passwords):
    made = passwords.make(Secret("seven otters juggle lanterns"), os.urandom(16)).result(30)
    assert isinstance(made, bytes)
    assert made.startswith(b"$argon2id$v=19$m=65536,t=3,p=4$")
    assert done(passwords, guess("seven otters juggle lanterns", made)) == made
    assert done(passwords, guess("seven otters juggle lantern", made)) != made


def test_new_passwords_are_hashed_a_few_at_a_time_and_the_rest_is_told_so(passwords, monkeypatch):
    go_on = threading.Event()

    def held_up(*_args: object) -> str:
        go_on.wait(10)
        return "$argon2id$made-up"

    monkeypatch.setattr(pool_module, "hash_password", held_up)
    waiting = [passwords.make(Secret("x"), b"") for _ in range(pool_module.MAX_MAKING)]
    refused = passwords.make(Secret("x"), b"").result(1)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.PASSWORDS_BUSY
    go_on.set()
    assert {one.result(10) for one in waiting} == {b"$argon2id$made-up"}
    # The places are free again, whatever became of each.
    assert passwords.make(Secret("x"), b"").result(10) == b"$argon2id$made-up"
