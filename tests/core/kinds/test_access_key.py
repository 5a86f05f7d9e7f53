"""Access keys: two spellings of a secret, told apart before anything is looked up."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.worlds import FUZZ, bearer, entropy, request

from latchgate.core.kinds.access_key import AccessKey, made_by_system
from latchgate.core.kinds.spec import Spec

KIND = AccessKey.configured("kakaocloud.access_key", {})
ISSUED = KIND.issue(Spec(service=""), entropy(1, KIND.entropy_bytes))
TEXT = ISSUED.secret.reveal()


def test_what_is_issued_is_as_keystone_spells_it_and_claimed_back():
    assert re.fullmatch(r"[0-9a-f]{32}", ISSUED.id)
    assert re.fullmatch(r"[0-9A-Za-z]{86}", TEXT)
    assert ISSUED.hint == ""
    claimed = KIND.claim(TEXT, key_id=ISSUED.id)
    assert (claimed.credential_id, claimed.digest) == (ISSUED.id, ISSUED.digest)
    assert claimed.password is None
    assert claimed.login is None
    named = KIND.claim(TEXT, login="deploy")
    assert (named.login, named.digest) == ("deploy", ISSUED.digest)
    assert TEXT not in repr(claimed) + repr(named) + repr(ISSUED)


@FUZZ
@given(seed=st.integers())
def test_each_draw_is_another_and_carries_its_checksum(seed):
    issued = KIND.issue(Spec(service=""), entropy(seed, KIND.entropy_bytes))
    assert made_by_system(issued.secret.reveal())
    assert (issued.id == ISSUED.id) == (seed == 1)


@FUZZ
@given(at=st.integers(0, 85), letter=st.sampled_from("0aZ_-é"))
def test_one_other_character_makes_it_one_that_somebody_may_have_chosen(at, letter):
    other = TEXT[:at] + letter + TEXT[at + 1 :]
    if other == TEXT:
        return
    claimed = KIND.claim(other, key_id=ISSUED.id)
    assert claimed.digest == b""
    assert claimed.password is not None


@pytest.mark.parametrize("text", ["", TEXT[:-1], TEXT + "0", TEXT.upper(), " " + TEXT, TEXT + "\n"])
def test_cut_extended_or_in_another_case_it_is_not_the_systems(text):
    assert not made_by_system(text)


def test_a_chosen_one_is_compared_in_one_form_of_unicode():
    composed = "\u00e9clair and cream for two"
    decomposed = "e\u0301clair and cream for two"
    for text in (composed, decomposed):
        password = KIND.claim(text, key_id="k").password
        assert password is not None
        assert password.reveal() == composed


def test_it_is_never_sent_with_a_request():
    assert KIND.parse(request(headers=bearer(TEXT))) is None
    assert KIND.carriers == ()
    assert KIND.scheme == ""


def test_a_leaked_one_is_found_and_nothing_around_it():
    found = re.search(KIND.pattern, f"secret={TEXT}, and more")
    assert found is not None
    assert (found[0], found[1]) == (TEXT, "")
    assert re.search(KIND.pattern, f"x{TEXT}") is None
    assert re.search(KIND.pattern, TEXT[:-1]) is None


@pytest.mark.parametrize("size", [0, KIND.entropy_bytes - 1, KIND.entropy_bytes + 1])
def test_it_takes_exactly_its_entropy(size):
    with pytest.raises(ValueError, match="entropy"):
        KIND.issue(Spec(service=""), bytes(size))


def test_it_takes_no_settings():
    with pytest.raises(msgspec.ValidationError):
        AccessKey.configured("x.access_key", {"prefix": "x"})
