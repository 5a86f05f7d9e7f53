"""WAYSCloud's command keeps its token in `~/.wayscloud/credentials`."""

from __future__ import annotations

import json

import pytest
from tests.client.sources.written import lacking, revealed, write

from latchgate.client import SourceExposed, SourceUnreadable
from latchgate.client.clouds.wayscloud import WANTED
from latchgate.client.sources import ClientFile


def _told(token: object) -> str:
    return json.dumps({"version": 1, "token": token, "created_at": "2026-01-01T00:00:00Z"})


def test_its_token_is_found(home):
    path = write(home / ".wayscloud" / "credentials", _told("wayscloud_pat_x"))
    found = ClientFile().look(WANTED)
    assert revealed(found) == {"token": "wayscloud_pat_x"}
    assert found.where == str(path)


def test_one_that_others_can_read_warns(home):
    write(home / ".wayscloud" / "credentials", _told("wayscloud_pat_x"), mode=0o644)
    with pytest.warns(SourceExposed, match="chmod 600"):
        ClientFile().look(WANTED)


@pytest.mark.parametrize(
    "text", ["5ecret", '{"token": 5', '["5ecret"]', "{}", _told(5), "[" * 9999]
)
def test_a_broken_one_is_refused_and_not_shown(home, text):
    write(home / ".wayscloud" / "credentials", text)
    with pytest.raises(SourceUnreadable, match=r'"token"; `cloud login` writes it anew') as told:
        ClientFile().look(WANTED)
    assert "5ecret" not in str(told.value)
    assert told.value.__context__ is None


def test_one_without_a_token_lacks_it(home):
    write(home / ".wayscloud" / "credentials", _told(""))
    assert lacking(ClientFile().look(WANTED)).why == "key or token not set"


def test_one_that_is_not_there_is_missed_only_where_its_path_was_given():
    assert not lacking(ClientFile().look(WANTED)).unreadable
    assert lacking(ClientFile("credentials").look(WANTED)).unreadable
    assert lacking(ClientFile(entry="x").look(WANTED)).unreadable
