"""Imports through the management API: bounded by whoever imports, a page at a time."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace

import msgspec
import pytest
import sqlalchemy as sa
from tests.world import FILES, World, asking

from latchgate.core.network import Networks
from latchgate.core.scope import Scopes
from latchgate.manage import import_page as pages
from latchgate.manage.errors import ForbiddenError, InvalidError
from latchgate.manage.import_lines import ImportLine
from latchgate.manage.import_page import ImportPage, import_page
from latchgate.signin import password
from latchgate.store import schema

KIND = "wayscloud.service_key"
FILES_TOO = {
    **FILES,
    "acme.toml": """
provider = "acme"
title = "Acme"
dialect = "problem"

[kinds.account_password]

[services.acme]
title = "Acme"

[services.acme.scopes]
"acme:read" = "Read"

[[areas]]
path = "/acme"
service = "acme"
accepts = ["account_password"]
rules = [{ methods = ["GET"], scope = "acme:read" }]
""",
}


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setattr(password, "_MEMORY_KIB", 64)
    monkeypatch.setattr(password, "_LANES", 1)
    made = World(tmp_path)
    made.publish(FILES_TOO)
    yield made
    made.close()


def ask(world, *lines, caller=None, **more):
    told = {"lines": list(lines), "defaults": {"kind": KIND, "owner": world.owner.user_id}, **more}
    return import_page(
        world.store,
        world.engine().policy,
        caller or world.acting(world.admin),
        msgspec.convert(told, ImportPage),
        entropy=secrets.token_bytes,
        now=time.time(),
    )


def with_credential(caller, **more):
    held = msgspec.structs.replace(caller.credential, **more)
    return replace(caller, grant=msgspec.structs.replace(caller.grant, credential=held))


def key():
    return f"wayscloud_storage_{secrets.token_hex(6)}_{secrets.token_hex(20)}"


def test_a_page_of_objects_and_texts_goes_in_and_works(world):
    texts = [key(), key()]
    written = msgspec.json.encode({"secret": texts[1], "scopes": ["storage:read"]}).decode()
    lines = [{"secret": texts[0], "services": ["storage"]}, written, {"secret": "no key"}]
    done = ask(world, *lines, dry_run=True)
    assert (done.imported, [one.line for one in done.failed], done.n) == (2, [3], 0)
    head = world.head()
    done = ask(world, *lines)
    assert (done.imported, done.n) == (2, head + 2)
    for text in texts:
        told = {"authorization": f"Bearer {text}"}
        assert world.engine().decide(asking(headers=told)).allowed
    assert ask(world, *lines).skipped == 2
    actor = world.acting(world.admin).actor.name
    assert {row.actor for row in world.journal()[-2:]} == {actor}


def test_csv_is_told_by_its_lines_and_its_columns(world):
    done = ask(
        world, "token,scopes", f"{key()},storage:read", format="csv", columns={"token": "secret"}
    )
    assert (done.imported, done.failed) == (1, [])
    with pytest.raises(InvalidError) as refused:
        ask(world, "token,scopes", format="csv")
    assert [name for name, _ in refused.value.faults] == ["lines"]


def test_nobody_imports_what_opens_more_than_they_hold(world):
    poor = world.acting(world.admin, Scopes.of(["storage:read", "acme:read"]))
    wide = {"secret": key(), "scopes": ["storage:write"]}
    whole = {"secret": key(), "services": ["storage"]}
    login = {"kind": "acme.account_password", "login": "ada", "hash": "{SHA}" + "A" * 27 + "="}
    done = ask(
        world, wide, whole, login, {"secret": key(), "scopes": ["storage:read"]}, caller=poor
    )
    assert (done.imported, [one.line for one in done.failed]) == (1, [1, 2, 3])
    assert all("you don't hold" in one.problem for one in done.failed)
    held = sa.select(schema.role_assignment.c.role_id)
    named = world.one(held.where(schema.role_assignment.c.user_id == world.admin.owner.user_id))
    made = {
        "secret": key(),
        "scopes": ["storage:read"],
        "owner": "new",
        "project": world.owner.project_id,
    }
    done = ask(world, made, caller=poor, create_users=True, user_role=named.role_id)
    assert "roles: you don't hold" in done.failed[0].problem
    assert world.all(sa.select(schema.user.c.id).where(schema.user.c.name == "new")) == []


def test_a_bounded_credential_imports_nothing_for_its_owner(world):
    caller = world.acting(world.admin)
    line = {"secret": key(), "scopes": ["storage:read"], "owner": world.admin.owner.user_id}
    for bound in ({"expires_at": time.time() + 60}, {"networks": Networks.of(["192.0.2.0/24"])}):
        done = ask(world, line, caller=with_credential(caller, **bound))
        assert [one.problem.partition(":")[0] for one in done.failed] == ["owner"]
    assert ask(world, line, caller=caller).imported == 1


def test_what_may_not_make_others_imports_nothing(world):
    caller = world.acting(world.admin)
    with pytest.raises(ForbiddenError):
        ask(world, {"secret": key()}, caller=with_credential(caller, issues=False))


def test_a_tenant_that_is_not_there_is_named(world):
    with pytest.raises(InvalidError) as refused:
        ask(world, {"secret": key(), "scopes": ["storage:read"]}, tenant="t-nobody")
    assert [name for name, _ in refused.value.faults] == ["tenant"]


def test_weak_hashes_of_a_page_are_bounded(world, monkeypatch):
    monkeypatch.setattr(pages, "MAX_SLOW", 2)
    lines = [{"login": f"ada{at}", "hash": secrets.token_hex(20)} for at in range(3)]
    defaults = {"kind": "acme.account_password", "owner": world.owner.user_id}
    done = ask(world, *lines, defaults=defaults)
    assert done.imported == 2
    assert [(one.line, "send it in another" in one.problem) for one in done.failed] == [(3, True)]


def test_no_secret_of_a_page_is_in_its_repr(world):
    text = key()
    page = ImportPage(lines=[{"secret": text}], defaults=ImportLine(secret=text))
    assert text not in repr(page)
