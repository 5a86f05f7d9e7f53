"""Documents: which versions are spoken, the catalog, and what there is none of here.

Source: Keystone v3, "API versions"; "Get service catalog", "Get available domain scopes", "Get
available system scopes".
"""

from __future__ import annotations

from latchgate.doors.keystone.answers import Answer, forbidden, json_answer
from latchgate.doors.keystone.call import Call

_UNSCOPED = "A project-scoped token is required to produce a service catalog"


async def versions(call: Call) -> Answer:
    """Answer the one version there is, as a choice: `GET /identity`."""
    return call.identity.versions


async def version(call: Call) -> Answer:
    """Answer the version that is spoken: `GET /identity/v3`."""
    return call.identity.version


async def catalog(call: Call) -> Answer:
    """Answer the services that a token can find: this one."""
    if not call.grant.credential.project_id:
        raise forbidden(_UNSCOPED)
    identity = call.identity
    links = {"self": identity.link("/auth/catalog")}
    return json_answer({"catalog": identity.catalog, "links": links})


async def domains(call: Call) -> Answer:
    """Answer the domains that a token can be had for: none."""
    return call.identity.listed("/auth/domains", "domains", [])


async def system(call: Call) -> Answer:
    """Answer whether a token for the whole system can be had: none can."""
    links = {"self": call.identity.link("/auth/system")}
    return json_answer({"system": [], "links": links})
