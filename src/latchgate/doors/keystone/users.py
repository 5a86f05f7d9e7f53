"""The user of a token, and the projects that they hold roles in.

Rule of this file: everybody sees themselves and what is theirs, and nobody else (ATTACKS D5.48).
Source: providers/kakaocloud, "Appendix. View project list"; Keystone v3, "Users", "Projects".
"""

from __future__ import annotations

from typing import Any

from latchgate.core.model import Key, Noun, Project
from latchgate.doors.keystone.answers import Answer, forbidden, json_answer, not_found
from latchgate.doors.keystone.call import Call
from latchgate.doors.keystone.reading import flag


def own(call: Call, action: str) -> str:
    """Return the id of the user that a path names; RefusedError 403 unless they ask themselves."""
    user_id = call.path[0]
    if user_id != call.grant.owner.id:
        raise forbidden(f"identity:{action}")
    return user_id


async def user(call: Call) -> Answer:
    """Answer the user whose token it is: `GET users/{id}`."""
    user_id, owner = own(call, "get_user"), call.grant.owner
    told = {
        "id": user_id,
        "name": owner.name,
        "domain_id": owner.tenant_id,
        "enabled": owner.active,
        "password_expires_at": None,
        "options": {},
        "links": {"self": call.identity.link(f"/users/{user_id}")},
    }
    return json_answer({"user": told})


async def user_projects(call: Call) -> Answer:
    """Answer the projects that the user is associated with: `GET users/{id}/projects`."""
    user_id = own(call, "list_user_projects")
    query = call.query
    found = await _projects(call)
    if "name" in query:
        found = [one for one in found if one.name == query["name"]]
    if "domain_id" in query:
        found = [one for one in found if one.tenant_id == query["domain_id"]]
    if "enabled" in query:
        found = [one for one in found if one.active is flag(query, "enabled")]
    return _listed(call, f"/users/{user_id}/projects", found)


async def own_projects(call: Call) -> Answer:
    """Answer the projects that a token can be had for: `GET auth/projects`."""
    return _listed(call, "/auth/projects", [one for one in await _projects(call) if one.active])


async def project(call: Call) -> Answer:
    """Answer one of the user's projects; any other is not there for them: `GET projects/{id}`."""
    (project_id,) = call.path
    found = [one for one in await _projects(call) if one.id == project_id]
    if not found:
        # What was asked for is told back, as Keystone does: never more than an id is long.
        raise not_found(f"Could not find project: {project_id[:64]}.")
    return json_answer({"project": _told(call, found[0])})


async def _projects(call: Call) -> list[Project]:
    """Return the projects in which the user holds a role now, by name."""
    owner = call.grant.owner
    keys: list[Key] = [(Noun.PROJECT, project_id) for project_id, _ in owner.roles]
    found = await call.door.asked(lambda: call.door.engine.records(dict.fromkeys(keys)))
    mine = [
        one
        for one in found.values()
        if isinstance(one, Project) and one.tenant_id == owner.tenant_id
    ]
    return sorted(mine, key=lambda one: (one.name, one.id))


def _listed(call: Call, path: str, found: list[Project]) -> Answer:
    return call.identity.listed(path, "projects", [_told(call, one) for one in found])


def _told(call: Call, found: Project) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": found.name,
        "domain_id": found.tenant_id,
        "description": "",
        "enabled": found.active,
        "parent_id": found.tenant_id,
        "is_domain": False,
        "tags": [],
        "options": {},
        "links": {"self": call.identity.link(f"/projects/{found.id}")},
    }
