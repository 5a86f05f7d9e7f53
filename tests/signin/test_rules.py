"""Rules for new passwords: length and a blocklist, and nothing else."""

from __future__ import annotations

import pytest

from latchgate.core.secret import checksum
from latchgate.signin.rules import normalized, password_faults

KNOWN = ["alice", "alice@example.com", "teracloud", "upcloud"]


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "wqjdkfbvnxmzpay",  # 15 letters of one case: no composition is asked for
        "!@#$%^&*(){}[]|:;<>?,/~`",
        "αβάτραχος κοάξ κοάξ βρεκεκεκέξ",
        "密码学是研究秘密通信的科学与艺术",
        "x" * 0 + "otters juggle lanterns " * 1 + "q7" * 500 + "z",
    ],
)
def test_any_long_unusual_password_is_taken(password):
    assert password_faults(password, known=KNOWN) == []


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("", "at least 15"),
        ("wqjdkfbvnxmzpa", "has 14 characters; at least 15"),
        ("é" * 14, "at least 15"),
        ("k" * 1_025, "none is cut off"),
        ("wqjdkfb\nvnxmzpay", "control character"),
        ("wqjdkfb\x7fvnxmzpay", "control character"),
        ("aaaaaaaaaaaaaaaaaaa", "Repeats"),
        ("abcabcabcabcabcabc", "Repeats"),
        ("abcdefghijklmnop", "Sequences"),
        ("123456789012345", "commonly used"),
        ("qwertyuiopasdfgh", "guessed"),
        ("iloveyouiloveyou", "guessed"),
        ("alice.alice.alice", "login name"),
        ("Alice@Example.com!", "login name"),
        ("latchgate-teracloud-alice", "login name"),
        ("PasswordPassword1!", "product"),
        ("aB3" * 300, "Repeats"),
    ],
)
def test_each_refusal_names_the_rule(password, said):
    (fault,) = password_faults(normalized(password), known=KNOWN)
    assert said in fault
    assert not password or password not in fault


def test_what_only_the_system_spells_is_refused_by_name():
    body = "tcap_0123456789ABCDEFGHIJKL"
    (fault,) = password_faults(body + checksum(body), known=())
    assert "Latchgate issues" in fault


def test_length_counts_characters_after_composition():
    decomposed = "e\u0301" * 14
    assert len(normalized(decomposed)) == 14
    assert "has 14" in password_faults(normalized(decomposed), known=())[0]


def test_more_characters_never_make_a_password_worse():
    strong = "wqjdkfbvnxmzpay"
    assert password_faults("a" * 200 + strong, known=()) == []
    assert password_faults(strong + "a" * 200, known=()) == []
