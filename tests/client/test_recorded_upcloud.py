"""UpCloud's client against answers recorded at UpCloud's own API.

The recordings are the provider's (its Go SDK's tests are made of them): what was asked, with the
credentials taken out, and what was answered.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request

import pytest
import yaml
from tests.client.stage import Asked, Said, Stage

from latchgate.client import Refused, UpCloud
from latchgate.client.adapters.urllib import Opener, check

pytestmark = [pytest.mark.enable_socket]

FOLDER = Path(__file__).parents[1] / "vectors" / "upcloud"
RECORDINGS = {"token": 6, "createmodifydeletesubaccount": 8, "errorhandling": 1}
TOKEN = "ucat_" + "0" * 26


def interactions(name: str) -> list[Any]:
    """Return a recording's requests with their answers, in order."""
    told = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))["interactions"]
    assert len(told) == RECORDINGS[name]
    return list(told)


def answered(told: Mapping[str, Any]) -> Said:
    """Return a recorded answer; its length is the server's to say."""
    headers = {name: ", ".join(values) for name, values in told["headers"].items()}
    headers.pop("Content-Length", None)
    return Said(told["code"], told["body"].encode(), headers)


def upcloud(way: str, url: str) -> UpCloud:
    """Return a client with a token, or with a subaccount's password."""
    if way == "token":
        return UpCloud(TOKEN, url=url)
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        return UpCloud(username="alice", password="mysecr3tPassword", url=url)


@pytest.mark.parametrize("way", ["token", "password"])
@pytest.mark.parametrize("name", RECORDINGS)
def test_requests_go_out_and_answers_come_back_as_they_were_recorded(name, way):
    left = interactions(name)
    recorded = list(left)

    def answer(asked: Asked) -> Said:
        told = left.pop(0)["request"]
        assert (asked.method, asked.path) == (told["method"], urlsplit(told["url"]).path)
        return answered(recorded[len(recorded) - len(left) - 1]["response"])

    with Stage(answer) as stage:
        cloud = upcloud(way, stage.url)
        opener = Opener(cloud)
        for one in recorded:
            _replayed(opener, one, stage)
    assert not left


def _replayed(opener: Opener, one: Mapping[str, Any], stage: Stage) -> None:
    told, expected = one["request"], one["response"]
    headers = {name: values[0] for name, values in told["headers"].items()}
    credential = headers.pop("Authorization", None)
    body = told["body"].encode() or None
    url = stage.url + urlsplit(told["url"]).path
    request = Request(url, body, headers, method=told["method"])  # noqa: S310 - the stage's
    try:
        answer: Any = opener.open(request)
    except HTTPError as error:
        answer = error
    if answer.status >= 400:
        _read_as_recorded(opener, answer, expected)
    else:
        with answer:
            assert (answer.status, answer.read().decode()) == (expected["code"], expected["body"])
    asked = stage.asked[-1]
    assert asked.body.decode() == told["body"]
    for name, value in headers.items():
        assert asked.header(name) == value
    sent = asked.header("Authorization")
    assert sent is not None
    if sent.startswith("Bearer"):
        assert sent == f"Bearer {TOKEN}"
    else:
        # As the provider's own SDK was recorded to send it.
        form = re.escape(credential or "Basic [REDACTED]").replace(
            r"\[REDACTED\]", "[A-Za-z0-9+/]+=*"
        )
        assert re.fullmatch(form, sent)


def _read_as_recorded(opener: Opener, answer: HTTPError, expected: Mapping[str, Any]) -> None:
    error = json.loads(expected["body"])["error"]
    with pytest.raises(Refused) as caught:
        check(opener.cloud, answer)
    assert type(caught.value) is Refused
    assert caught.value.status == expected["code"]
    assert (caught.value.code, caught.value.message) == (
        error["error_code"],
        error["error_message"],
    )
