from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest

from latchgate.core.kinds.spec import Issued, Spec
from latchgate.core.secret import Secret

ISSUED = Issued(id="abc", secret=Secret("acme_storage_abc_hush"), digest=b"d" * 32, hint="acme_…")


def test_what_was_issued_prints_without_its_secret():
    for printed in (repr(ISSUED), str(ISSUED), f"{ISSUED}", f"{ISSUED!r:>200}"):
        assert "hush" not in printed
        assert "abc" in printed


@pytest.mark.parametrize("leave", [pickle.dumps, copy.deepcopy, dataclasses.asdict, copy.copy])
def test_what_was_issued_leaves_the_process_by_no_side_door(leave):
    if leave is copy.copy:
        assert leave(ISSUED).secret is ISSUED.secret
        return
    with pytest.raises(TypeError, match="not pickled"):
        leave(ISSUED)


@pytest.mark.parametrize("thing", [ISSUED, Spec(service="storage")])
def test_neither_can_be_changed_afterwards(thing):
    name = dataclasses.fields(thing)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(thing, name, "other")
