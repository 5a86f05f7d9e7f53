"""Names beside ids: of the own tenant, or of every one where the page is the operator's."""

from __future__ import annotations

from latchgate.manage import naming


def test_names_of_another_tenant_are_left_out_unless_the_page_shows_every_one(world):
    ours, theirs = world.key(), world.key(owner=world.somebody())
    caller = world.acting(world.admin)
    ids = [ours.id, theirs.id, "nothing", None, ours.id]
    found = naming.credentials(world.store, caller, ids, everywhere=False)
    assert {one.id: (one.name, one.kind, one.owner_id) for one in found.values()} == {
        ours.id: ("made by a test", "wayscloud.service_key", ours.owner.user_id)
    }
    every = naming.credentials(world.store, caller, ids, everywhere=True)
    assert set(every) == {ours.id, theirs.id}
    people = [ours.owner.user_id, theirs.owner.user_id, None]
    assert set(naming.users(world.store, caller, people, everywhere=False)) == set(people[:1])
    named = naming.users(world.store, caller, people, everywhere=True)
    assert named[theirs.owner.user_id].startswith("user ")
    assert naming.users(world.store, caller, [], everywhere=True) == {}
