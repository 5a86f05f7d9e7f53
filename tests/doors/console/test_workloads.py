"""Workloads on pages: those of one's tenant, switched and deleted by whoever may."""

from __future__ import annotations

import secrets

import pytest
import sqlalchemy as sa
from tests import people
from tests.acting import service_user
from tests.world import Owner

from latchgate.manage import workloads
from latchgate.manage.workloads import WorkloadSpec
from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


class Trusting:
    """Stands where issuers are asked: no page asks one."""

    def address_fault(self, _url):
        return None

    def discover(self, _issuer):
        raise AssertionError


def make(world, owner, name="deploy <main>"):
    robot = service_user(world, owner, "storage:read")
    key = world.key(owner=Owner(owner.tenant_id, owner.project_id, owner.id))
    spec = WorkloadSpec(
        name=name,
        issuer="https://issuer.example",
        jwks_uri="https://issuer.example/keys",
        claims={"sub": "repo:acme/photos:ref:refs/heads/main", "event": ["push", "tag"]},
        audience="https://login.example",
        user_id=robot,
        scopes=["storage:read"],
    )
    made, _ = workloads.create(
        world.store,
        world.engine().policy,
        world.acting(key),
        spec,
        issuers=Trusting(),
        now=world.clock(),
        entropy=secrets.token_bytes,
    )
    return made


def row(world, workload_id):
    table = schema.workload
    return world.all(sa.select(table).where(table.c.id == workload_id))


def test_a_workload_is_listed_shown_switched_and_deleted_with_receipts(visitor, world):
    owner = people.owner(world)
    visitor.sign_in(owner)
    visitor.see("/workloads")
    assert "No program is let in so yet." in visitor.page
    made = make(world, owner)
    path = f"/workloads/{made.id}"
    assert b"deploy &lt;main&gt;" in visitor.see("/workloads?q=deploy").body
    visitor.see(path)
    for text in ("repo:acme/photos:ref:refs/heads/main", "push", "tag", made.issuer):
        assert text in visitor.page
    for verb in ("disable", "enable", "delete"):
        version = {"version": str(row(world, made.id)[0].version)}
        assert visitor.send(f"{path}/{verb}", version | {"csrf": ""}).status == 403
        assert visitor.send(f"{path}/{verb}", {"version": "1"}).status == 409
        done = visitor.send(f"{path}/{verb}", version)
        assert (done.status, b"Receipt: journal number" in done.body) == (200, True)
    assert row(world, made.id) == []


def test_a_workload_of_another_tenant_is_not_there_and_a_reader_changes_none(visitor, world):
    owner = people.owner(world)
    made = make(world, owner)
    version = {"version": str(made.version)}
    visitor.sign_in(people.owner(world))
    assert visitor.see(f"/workloads/{made.id}").status == 404
    visitor.sign_in(people.colleague(world, owner, "manage:workloads.read"))
    visitor.see(f"/workloads/{made.id}")
    assert "/delete" not in visitor.page
    for verb in ("disable", "enable", "delete"):
        assert visitor.send(f"/workloads/{made.id}/{verb}", version).status == 403
    visitor.sign_in(people.colleague(world, owner, "own:account.read"))
    assert visitor.see("/workloads").status == 403
    visitor.see("/applications")
    assert "/workloads" not in visitor.page
    assert len(row(world, made.id)) == 1
