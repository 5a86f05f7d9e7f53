"""The identity of an allowed request, and which headers could be taken for it."""

import pytest

from latchgate.integrations.identity import Identity, is_identity_header


def test_an_identity_is_read_by_header_name_and_told_again():
    told = {"X-Latchgate-User": "u-1", "X-Latchgate-External-Id": "crm/7"}
    identity = Identity.of(told)
    assert (identity.user, identity.external_id, identity.tenant) == ("u-1", "crm/7", None)
    assert dict(identity.headers()) == told


def test_names_of_a_later_version_are_left_out():
    assert Identity.of({"X-Latchgate-Shoe-Size": "43"}) == Identity()


def test_nobody_is_false():
    assert not Identity()
    assert not Identity.of({})
    assert Identity(user="u-1")
    assert Identity(credential="c")


@pytest.mark.parametrize(
    "name",
    ["X-Latchgate-User", "x_latchgate_user", "X.Latchgate-New", "X-LATCHGATE_A", "X|latchgate|a"],
)
def test_every_spelling_of_our_headers_is_known(name):
    assert is_identity_header(name)


@pytest.mark.parametrize("name", ["X-Latchgat", "Latchgate-User", "XX-Latchgate-User", "X-Other"])
def test_other_headers_are_not_ours(name):
    assert not is_identity_header(name)
