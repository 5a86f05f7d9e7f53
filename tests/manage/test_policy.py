"""Publishing policy files: checked first, then the next version, or nothing at all."""

from __future__ import annotations

import msgspec
import pytest
import sqlalchemy as sa
from tests.world import ACTOR, BUILT_IN, FILES, WAYSCLOUD, asking

from latchgate.core.model import Noun
from latchgate.core.policy_faults import PolicyError
from latchgate.core.policy_file import BUILT_IN as BUILT_IN_NAME
from latchgate.manage import policy
from latchgate.store import schema

pytestmark = pytest.mark.both_databases

OTHER = 'provider = "other"\ntitle = "Other"\ndialect = "problem"\n'


def apply(world, files):
    return policy.apply(world.store, ACTOR, files, BUILT_IN)


def test_what_init_published_is_version_1(world):
    version, at, files = policy.published(world.store)
    assert (version, files) == (1, FILES)
    assert at > 0


def test_without_a_policy_the_version_is_0(world):
    world.change(Noun.POLICY, "1", sa.delete(schema.policy_version))
    assert policy.published(world.store) == (0, 0.0, {})


def test_good_files_become_the_next_version_with_a_journal_row(world):
    files = {"wayscloud.toml": WAYSCLOUD, "other.toml": OTHER}
    version, n = apply(world, files)
    assert (version, n) == (2, world.head())
    assert policy.published(world.store)[0::2] == (2, files)
    row = world.journal()[-1]
    assert (row.action, row.noun, row.record) == ("policy.apply", "policy", "2")
    assert msgspec.json.decode(row.detail) == {
        "version": 2,
        "files": ["other.toml", "wayscloud.toml"],
    }


def test_older_versions_stay_readable(world):
    apply(world, {"other.toml": OTHER})
    versions = world.all(sa.select(schema.policy_version.c.version))
    assert [row.version for row in versions] == [1, 2]


@pytest.mark.parametrize(
    "text",
    [
        "not TOML",
        OTHER + "unknown = 1\n",
        OTHER.replace('"problem"', '"none"'),
        OTHER + '[[areas]]\npath = "/manage/v1/keys"\npublic = true\nmethods = ["GET"]\n',
        OTHER.replace('"other"', '"latchgate"'),
        "a = " + "[" * 5_000,
        "a = " + "9" * 5_000,
        "a = 1\x00",
        "",
    ],
    ids=[
        "not TOML",
        "unknown key",
        "unknown dialect",
        "overlap",
        "our provider",
        "deep",
        "long number",
        "NUL",
        "empty",
    ],
)
def test_bad_files_change_nothing_and_say_where(world, text):
    before = world.head()
    with pytest.raises(PolicyError) as refused:
        apply(world, {"wayscloud.toml": WAYSCLOUD, "bad.toml": text})
    assert refused.value.faults[0].file == "bad.toml"
    assert refused.value.faults[0].line >= 1
    assert policy.published(world.store)[0] == 1
    assert world.head() == before


def test_no_file_takes_the_place_of_the_programs_own_policy(world):
    # Its areas are what keeps the management API shut.
    open_wide = OTHER + '[[areas]]\npath = "/manage/v1"\npublic = true\nmethods = ["*"]\n'
    with pytest.raises(PolicyError):
        apply(world, {BUILT_IN_NAME: open_wide})
    engine = world.engine()
    request = asking(target="/manage/v1/keys")
    assert engine.decide(request).reason == "credential_missing"


def test_two_that_publish_at_once_get_two_versions(world):
    with world.changing() as change:
        first, _ = policy.publish(change, FILES)
        second, _ = policy.publish(change, FILES)
    assert (first, second) == (2, 3)
