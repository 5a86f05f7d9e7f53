"""TLS 1.2 is the least."""

from __future__ import annotations

import ssl

import pytest

from latchgate.client import InsecureTransport
from latchgate.client.tls import context


def old() -> ssl.SSLContext:
    made = ssl.create_default_context()
    with pytest.warns(DeprecationWarning, match=r"TLSv1 is deprecated"):
        made.minimum_version = ssl.TLSVersion.TLSv1
    return made


def test_the_usual_context_takes_no_version_before_1_2():
    assert context(None, old).minimum_version is ssl.TLSVersion.TLSv1_2


def test_one_that_takes_older_versions_is_refused_and_stays_as_it_was():
    given = old()
    with pytest.raises(InsecureTransport, match=r"minimum_version"):
        context(given)
    assert given.minimum_version is ssl.TLSVersion.TLSv1


@pytest.mark.parametrize("least", [ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.MAXIMUM_SUPPORTED])
def test_one_that_takes_later_versions_alone_stays_as_it_is(least: ssl.TLSVersion):
    given = ssl.create_default_context()
    given.minimum_version = least
    before = given.minimum_version
    assert context(given) is given
    assert given.minimum_version is before
