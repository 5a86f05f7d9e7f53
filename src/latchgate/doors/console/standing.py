"""Who is signed in, as one who acts: what they may do now, in which project of theirs.

Rule of this file: rights are worked out where those of every credential are (`core.standing`), at
each request anew, so that a role that was taken away opens no page any more.
"""

from __future__ import annotations

from dataclasses import dataclass

from latchgate.core.model import Noun, Project, Refused, Request, User
from latchgate.core.reason import Reason
from latchgate.core.standing import standing
from latchgate.doors.door import Door
from latchgate.manage.actor import Caller
from latchgate.signin.session import Session

# Which of their projects somebody works in: a choice, looked at anew each time, no secret.
PROJECT_COOKIE = "__Host-latchgate-project"


@dataclass(frozen=True, slots=True)
class Standing:
    """What a session gives now: whom it lets act, and the projects they may work in by name.

    `caller` is None where it gives nothing: `outside` is whether that is for where they are.
    """

    caller: Caller | None
    projects: tuple[Project, ...]
    outside: bool


def stand(door: Door, session: Session, request: Request, *, wish: str | None) -> Standing:
    """Work out what somebody may do; `wish` is the project they chose last. StoreError."""
    engine = door.engine
    found = engine.records([(Noun.USER, session.user_id)])[(Noun.USER, session.user_id)]
    projects = _projects(door, session, found) if isinstance(found, User) else ()
    known = [one.id for one in projects]
    project_id = wish if wish in known and wish is not None else next(iter(known), "")
    facts = engine.person(session.credential(project_id))
    grant = standing(facts, request, door.clock(), [])
    if isinstance(grant, Refused):
        outside = {Reason.NETWORK_NOT_ALLOWED, Reason.CLIENT_ADDRESS_INVALID}
        return Standing(None, projects, grant.reason in outside)
    address = str(request.client) if request.client is not None else None
    return Standing(Caller(grant, address, session.id), projects, outside=False)


def _projects(door: Door, session: Session, user: User) -> tuple[Project, ...]:
    """Return the projects in which a user holds a role, by their names."""
    keys = [(Noun.PROJECT, project_id) for project_id, _ in user.roles]
    found = door.engine.records(keys).values()
    usable = {
        one.id: one
        for one in found
        if isinstance(one, Project) and one.active and one.tenant_id == session.tenant_id
    }
    return tuple(sorted(usable.values(), key=lambda one: (one.name, one.id)))
