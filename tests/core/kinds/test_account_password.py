from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.makers import MAKERS
from tests.core.worlds import basic, entropy, request

from latchgate.core.kinds.account_password import AccountPassword
from latchgate.core.kinds.spec import Spec
from latchgate.core.model import Refused
from latchgate.core.reason import Reason

KIND = AccountPassword.configured("upcloud.account_password", {})


def test_what_a_person_chose_is_handed_on_for_its_slow_digest_and_has_no_quick_one():
    found = KIND.parse(request(headers=basic("Ada", "correct horse: battery")))
    assert isinstance(found, tuple)
    (claimed,) = found
    assert (claimed.login, claimed.credential_id, claimed.digest) == ("ada", "", b"")
    assert claimed.password is not None
    assert claimed.password.reveal() == "correct horse: battery"
    assert "horse" not in repr(claimed) + str(claimed)


def test_what_only_the_system_makes_costs_no_slow_digest_here():
    text = MAKERS["app_password"].issue(1).secret.reveal()
    assert KIND.parse(request(headers=basic("ada", text))) is None


def test_the_first_password_is_long_and_random_and_nothing_of_it_is_shown():
    issued = KIND.issue(Spec(service=""), entropy(1, KIND.entropy_bytes))
    assert len(issued.secret.reveal()) == 24
    assert issued.hint == ""
    assert issued.digest == b""
    assert issued.id.startswith("pw-")


def test_a_repeated_or_broken_header_is_refused_and_another_scheme_is_not_ours():
    repeated = KIND.parse(request(headers=basic("ada", "x"), repeated=["authorization"]))
    assert isinstance(repeated, Refused)
    assert repeated.reason is Reason.CREDENTIAL_REPEATED
    assert isinstance(KIND.parse(request(headers={"authorization": "Basic ???"})), Refused)
    assert KIND.parse(request(headers={"authorization": "Bearer x"})) is None


def test_it_looks_like_nothing_so_nothing_is_masked_for_it():
    assert KIND.pattern is None


def test_it_takes_no_settings():
    with pytest.raises(msgspec.ValidationError):
        AccountPassword.configured("x.account_password", {"prefix": "x"})


COHORT = AccountPassword.configured(
    "early.account_password", {"registered_before": "2027-01-15T16:00:00+09:00"}
)
INSTANT = 1_799_996_400.0  # the same, as Unix seconds


@pytest.mark.parametrize(
    ("created_at", "taken"),
    [
        (0.0, True),
        (math.nextafter(INSTANT, 0), True),
        (INSTANT, False),
        (math.nextafter(INSTANT, math.inf), False),
    ],
)
def test_the_cohort_ends_at_its_exact_instant(created_at, taken):
    assert COHORT.taken_from(created_at, ()) is taken


@given(
    created_at=st.floats(0, 2 * INSTANT, allow_nan=False),
    switched=st.sets(st.sampled_from(["early", "other", "earl", "early.account_password"])),
)
def test_a_switch_ends_the_default_for_good_and_nothing_else_does(created_at, switched):
    assert COHORT.taken_from(created_at, switched) is (
        created_at < INSTANT and "early" not in switched
    )
    # Without a cohort there is no default that could end.
    assert KIND.taken_from(created_at, switched)


@pytest.mark.parametrize("told", ["2027-01-15", "2027-01-15T16:00:00", "", 5])
def test_an_instant_is_a_time_with_its_offset(told):
    with pytest.raises(msgspec.ValidationError, match="registered_before"):
        AccountPassword.configured("x.account_password", {"registered_before": told})
