"""The soak of rotations can fail: each answer that breaks a promise is told, and no other is."""

import contextlib

import pytest
from soak.rotation import Client, Slot
from soak.steps import LostError, Said

ALLOWED, DEPRECATED, REFUSED = Said(200, False), Said(200, True), Said(401, False)  # noqa: FBT003 - fields of an answer
BEFORE: dict[str, bool] = {}
UNDER_WAY = {"begun": True}
IN_GRACE = {"begun": True, "answered": True}
AFTER = {"begun": True, "answered": True, "ended": True}


def lost(wanted):
    return pytest.raises(LostError) if wanted else contextlib.nullcontext()


@pytest.mark.parametrize(
    ("state", "at_once", "said", "wrong"),
    [
        (BEFORE, False, ALLOWED, False),
        (BEFORE, False, DEPRECATED, True),
        (BEFORE, True, REFUSED, True),
        (UNDER_WAY, False, ALLOWED, False),
        (UNDER_WAY, False, DEPRECATED, False),
        (UNDER_WAY, False, REFUSED, True),
        (UNDER_WAY, True, REFUSED, False),
        (IN_GRACE, False, ALLOWED, True),
        (IN_GRACE, False, DEPRECATED, False),
        (IN_GRACE, False, REFUSED, True),
        (AFTER, True, DEPRECATED, True),
        (AFTER, True, ALLOWED, True),
        (AFTER, True, REFUSED, False),
        (AFTER, False, REFUSED, False),
    ],
)
def test_what_an_old_secret_may_be_answered_in_each_state_of_its_rotation(
    state, at_once, said, wrong
):
    slot = Slot("old", b"", at_once=at_once, **state)
    client = Client(lambda _question: said)
    with lost(wrong):
        client.old(slot)
    assert client.sent == {"old": 1}


@pytest.mark.parametrize(("said", "wrong"), [(ALLOWED, False), (DEPRECATED, True), (REFUSED, True)])
def test_a_new_secret_is_always_accepted_and_never_deprecated(said, wrong):
    client = Client(lambda _question: said)
    with lost(wrong):
        client.new(Slot("old", b"", successor="new", new=b"", **IN_GRACE))
    assert client.sent == {"new": 1}
