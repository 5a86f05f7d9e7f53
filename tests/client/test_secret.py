"""A secret shows itself to nobody who does not ask for it by `reveal`."""

from __future__ import annotations

import copy
import json
import logging
import pickle

import pytest

from latchgate.client import Secret
from latchgate.client.secret import MASK, secret

TEXT = "wayscloud_storage_abc123_YourSecretKey"


def test_it_is_masked_however_it_is_printed(caplog):
    one = Secret(TEXT)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("a program's").warning("with %s, %r and %10s", one, [one], one)
    shown = [str(one), repr(one), f"{one}", f"{one!r:>50}", f"{one:x<99}", repr({"key": one})]
    assert TEXT not in "".join([*shown, caplog.text])
    assert all(MASK in text for text in shown)
    assert one.reveal() == TEXT


def test_a_secret_is_not_pickled_nor_written_as_json():
    for written in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError) as caught:
            written(Secret(TEXT))
        assert TEXT not in str(caught.value)


def test_two_of_the_same_text_are_equal_and_never_equal_to_the_text():
    one = Secret(TEXT)
    assert one == Secret(TEXT)
    assert hash(one) == hash(Secret(TEXT))
    assert one != Secret(TEXT[:-1])
    assert one != TEXT
    assert hash(one) != hash(TEXT)


def test_nothing_of_it_can_be_set_or_listed():
    one = Secret(TEXT)
    with pytest.raises(AttributeError):
        one.text = "another"  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        vars(one)


def test_what_is_a_secret_already_stays_as_it_is():
    one = Secret(TEXT)
    assert secret(one) is one
    assert secret(TEXT) == one
