"""Ids of refusals: no two alike, in no two processes."""

from __future__ import annotations

import os
import re
import secrets

from latchgate.verify.decision_ids import DecisionIds

SHAPE = re.compile("[0-9a-f]{20}")


def test_ids_are_80_random_bits_each_and_no_two_alike():
    ids = DecisionIds(secrets.token_bytes)
    drawn = [ids.draw() for _ in range(1_000)]
    assert all(map(SHAPE.fullmatch, drawn))
    assert len(set(drawn)) == len(drawn)


def test_every_random_byte_is_used_once():
    given = []

    def entropy(number: int) -> bytes:
        given.append(secrets.token_bytes(number))
        return given[-1]

    ids = DecisionIds(entropy)
    count = 3 * 64
    drawn = {ids.draw() for _ in range(count)}
    whole = b"".join(given)
    assert len(whole) == 10 * count
    assert drawn == {whole[at : at + 10].hex() for at in range(0, len(whole), 10)}


def test_a_forked_child_gives_out_none_of_its_parents():
    ids = DecisionIds(secrets.token_bytes)
    ids.draw()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, "".join(ids.draw() for _ in range(150)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    told = os.read(reading, 20 * 150).decode()
    os.close(reading)
    os.close(writing)
    theirs = {told[at : at + 20] for at in range(0, len(told), 20)}
    assert len(theirs) == 150
    assert theirs.isdisjoint(ids.draw() for _ in range(150))
