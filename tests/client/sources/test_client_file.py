"""Each cloud's own client, and those that keep no file."""

from __future__ import annotations

import os

from tests.client.sources.written import lacking

from latchgate.client.clouds.upcloud import WANTED as UPCLOUD
from latchgate.client.sources import ClientFile
from latchgate.client.sources.source import Wanted


def test_a_cloud_whose_client_keeps_none_says_so():
    wanted = Wanted("TeraCLOUD", (("user", "password"),), {})
    told = lacking(ClientFile().look(wanted))
    assert str(told) == "clients' files: no client of TeraCLOUD is known to keep one"


def test_what_is_not_read_says_where_and_why(home):
    (home / ".config").mkdir()
    os.mkfifo(home / ".config" / "upctl.yaml")
    told = lacking(ClientFile().look(UPCLOUD))
    assert str(told) == f"{home}/.config/upctl.yaml: is no regular file"
    assert told.unreadable


def test_its_repr_says_which():
    assert repr(ClientFile()) == "ClientFile()"
    assert (
        repr(ClientFile("/x/clouds.yaml", entry="kc")) == "ClientFile('/x/clouds.yaml', entry='kc')"
    )
