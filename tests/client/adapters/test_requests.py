"""What requests alone has."""

from __future__ import annotations

import copy
import pickle

import pytest
import requests
from tests.client.stage import Said, Stage

from latchgate.client import WaysCloud
from latchgate.client.adapters.requests import Session

pytestmark = pytest.mark.enable_socket

KEY = "wayscloud_llm_k1_Zt5sQ0"


def test_a_redirect_that_is_followed_by_hand_is_one(one: Stage, two: Stage):
    one.answer = lambda _: Said(302, headers={"Location": two.url})
    with Session(WaysCloud(KEY, url=one.url)) as session:
        led = session.get(one.url, allow_redirects=False).next
        assert led is not None
        assert session.send(led).status_code == 200
    assert two.asked[0].header("authorization") is None


def test_what_auth_added_stays_with_its_host(one: Stage, two: Stage):
    one.answer = lambda _: Said(302, headers={"Location": two.url})
    with Session(WaysCloud(f"wayscloud_api_{KEY}", url=one.url)) as session:
        session.get(one.url, auth=("me", "my password"))
    assert (one.asked[0].header("authorization") or "").startswith("Basic ")
    assert two.asked[0].header("authorization") is None


def test_an_error_holds_the_callers_request(one: Stage):
    with Stage() as gone:
        down = gone.url
    with (
        Session(WaysCloud(KEY, url=down)) as session,
        pytest.raises(requests.ConnectionError) as broken,
    ):
        session.get(down)
    assert broken.value.request is not None
    assert "authorization" not in broken.value.request.headers


def test_a_session_is_not_pickled():
    with Session(WaysCloud(KEY)) as session:
        for spread in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError, match=r"not pickled"):
                spread(session)
