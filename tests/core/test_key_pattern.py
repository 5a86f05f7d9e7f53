"""Patterns of foreign keys: what is taken means what Python takes it for, and is measured right."""

from __future__ import annotations

import math
import re
import string
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchgate.core.key_pattern import PatternError, key_bits

MARKS = r"ab0189-[](){}|?:\.,^$*+ &~_<>=!#Pi"
PRINTABLE = [chr(code) for code in range(0x20, 0x7F)]


@pytest.mark.parametrize(
    ("pattern", "bits"),
    [
        ("[0-9a-f]{32}", 128),
        ("k_[0-9a-f]{32}(?:-[0-9a-f]{8}){0,1}", 128),
        ("(?:live|test)_[0-9a-f]{8,64}", 32),
        ("([0-9a-f]{8}|[01]{4}|[0-9a-f]{9})x", 4),
        ("[0-9a-f]{4}[0-7]?[0-7]??[0-7]{,4}[0-7]{2,3}?", 22),
        (r"[ab\]\-]{2}\.\[\{\\", 4),
        ("[a-]", 1),
        ("[-a]", 1),
        ("[!+-]", math.log2(3)),
        ("[a-cb-d]", 2),
        ("", 0),
        ("(a|)", 0),
    ],
)
def test_what_the_shortest_key_holds_is_counted(pattern, bits):
    re.compile(pattern)
    assert key_bits(pattern) == pytest.approx(bits)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("a*", "needs an end"),
        ("a{3,}", "needs an end"),
        ("a{,}", "needs an end"),
        ("a{513}", "needs an end"),
        ("a{999999999}", "needs an end"),
        ("a{9999999999}", "repeats by"),
        ("a{}", "repeats by"),
        ("a{3,2}", "ends before it begins at character 7"),
        ("a{2}{3}", "repetition of a repetition at character 5"),
        ("a{2}+", "repetition of a repetition"),
        ("a???", "repetition of a repetition"),
        ("?a", "repeats nothing at character 2"),
        ("a)b", "closes nothing at character 2"),
        ("(a", "nothing closes"),
        ("[a", "nothing closes"),
        ("[", "nothing closes"),
        ("[]a]", "a set of nothing"),
        ("[z-a]", "z-a that ends before it begins"),
        (r"[\d]", "write the characters"),
        (r"[\b]", "end to end"),
        (r"\n", "before a mark alone"),
        (r"\1", "before a mark alone"),
        ("a\\", "before a mark alone"),
        ("(?P<a>b)", "as groups"),
        ("(?#a)", "as groups"),
        ("(?<!a)b", "as groups"),
        ("a}", r"as \\} alone"),
        ("a]", r"as \\] alone"),
        ("[a[b]", r"as \\\[ alone"),
        ("[a&&b]", r"as \\& alone"),
        ("[a--b]", "once"),
        ("[!--]", "once"),
        ("[a\nb]", "visible ASCII"),
        ("\u00e9", "visible ASCII"),
        ("[a-\u00e9]", "visible ASCII"),
        ("(" * 17 + ")" * 17, "16 deep"),
        ("a" * 513, "longer than 512"),
        ("(a?){2}", "may not repeat"),
        ("(a|b){2}", "may not repeat"),
        ("a?" * 13, "8192 ways"),
    ],
)
def test_what_could_mean_more_or_cost_more_than_it_says_is_refused(pattern, why):
    with pytest.raises(PatternError, match=why):
        key_bits(pattern)


def test_what_the_reader_escapes_itself_is_taken():
    assert key_bits(re.escape(string.punctuation + " ")) == 0


@given(st.text(MARKS, max_size=16))
def test_what_is_taken_is_taken_by_python_without_a_doubt(pattern):
    try:
        key_bits(pattern)
    except PatternError:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        re.compile(f"()(?:{pattern})")


@given(st.text(MARKS, max_size=12))
def test_a_set_holds_what_python_finds_in_it(body):
    try:
        bits = key_bits(f"[{body}]")
    except PatternError:
        return
    found = [letter for letter in PRINTABLE if re.fullmatch(f"[{body}]", letter)]
    # A body that closes the set itself leaves more than one character behind it.
    assert "]" in body or len(found) == round(2**bits)
