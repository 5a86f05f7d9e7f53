"""Projects: make, list, show, rename, disable, enable."""

from __future__ import annotations

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.doors.lists import read_query
from latchgate.doors.manage import shapes
from latchgate.doors.manage.answers import creation, json_answer, told
from latchgate.doors.manage.door import Door, caller, receipt
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_match, read_once
from latchgate.manage import projects

_PATH = "/manage/v1/projects"
_ONE = "/manage/v1/projects/{project_id}"
_READ = "manage:projects.read"
_WRITE = "manage:projects.write"


class Project(msgspec.Struct, frozen=True):
    """A project; roles in a disabled one give nothing."""

    id: str
    name: str
    active: bool
    created_at: str
    version: int


class ProjectPage(msgspec.Struct, frozen=True):
    """A page of projects; `next` is the `after` of the following page."""

    projects: list[Project]
    next: str | None


async def create_project(door: Door, request: HttpRequest) -> Response:
    """Make a project."""
    spec = await read_body(request, projects.ProjectSpec)
    one, new = await run_in_threadpool(
        projects.create,
        door.store,
        caller(request),
        spec,
        now=door.clock(),
        entropy=door.entropy,
        once=read_once(request, spec),
    )
    return creation(told(one, Project), f"{_PATH}/{one.id}", one.version, new=new)


async def list_projects(door: Door, request: HttpRequest) -> Response:
    """Page through the tenant's projects."""
    query = read_query(request.query_params.multi_items(), projects.LISTING)
    found, following = await run_in_threadpool(
        projects.listed, door.store, caller(request), query, now=door.clock()
    )
    return json_answer(ProjectPage([told(one, Project) for one in found], following))


async def show_project(door: Door, request: HttpRequest) -> Response:
    """Show one project."""
    project_id = request.path_params["project_id"]
    one = await run_in_threadpool(projects.shown, door.store, caller(request), project_id)
    return json_answer(told(one, Project), version=one.version)


async def change_project(door: Door, request: HttpRequest) -> Response:
    """Rename a project."""
    project_id, match = request.path_params["project_id"], read_match(request)
    patch = await read_body(request, projects.ProjectPatch)
    one = await run_in_threadpool(
        projects.change_project, door.store, caller(request), project_id, patch, match=match
    )
    return json_answer(told(one, Project), version=one.version)


async def disable_project(door: Door, request: HttpRequest) -> Response:
    """Disable a project and wait for the receipt."""
    return await _switch(door, request, active=False)


async def enable_project(door: Door, request: HttpRequest) -> Response:
    """Enable a project and wait for the receipt."""
    return await _switch(door, request, active=True)


async def _switch(door: Door, request: HttpRequest, *, active: bool) -> Response:
    project_id, match = request.path_params["project_id"], read_match(request)
    one, n = await run_in_threadpool(
        projects.switch, door.store, caller(request), project_id, active=active, match=match
    )
    shown = shapes.Switched(one.id, one.active, one.version, await receipt(door, n))
    return json_answer(shown, version=one.version)


OPERATIONS = (
    Operation(
        "POST",
        _PATH,
        create_project,
        "Make a project",
        _WRITE,
        body=projects.ProjectSpec,
        answer=Project,
        status=201,
        replay=Project,
        refusals=(413, 415),
    ),
    Operation(
        "GET",
        _PATH,
        list_projects,
        "List projects",
        _READ,
        answer=ProjectPage,
        listing=projects.LISTING,
        refusals=(422,),
    ),
    Operation("GET", _ONE, show_project, "Show a project", _READ, answer=Project, refusals=(404,)),
    Operation(
        "PATCH",
        _ONE,
        change_project,
        "Rename a project",
        _WRITE,
        body=projects.ProjectPatch,
        answer=Project,
        conditional=True,
        refusals=(404, 409, 413, 415, 422),
    ),
    Operation(
        "POST",
        f"{_ONE}/disable",
        disable_project,
        "Disable a project, with a receipt",
        _WRITE,
        answer=shapes.Switched,
        conditional=True,
        refusals=(404, 409),
    ),
    Operation(
        "POST",
        f"{_ONE}/enable",
        enable_project,
        "Enable a project, with a receipt",
        _WRITE,
        answer=shapes.Switched,
        conditional=True,
        refusals=(404,),
    ),
)
