"""`latchgate project`: make, list, show, rename, disable and enable projects."""

from __future__ import annotations

from typing import Any

import rich_click as click

from latchgate.cli.listing import (
    if_match,
    listing_options,
    once,
    once_option,
    segment,
    show_list,
    version_option,
)
from latchgate.cli.noun import show_record, switch
from latchgate.cli.output import json_option, no_wait_option

_PATH = "/manage/v1/projects"


@click.group()
def project() -> None:
    """Make, list, show, rename, disable and enable projects."""


@project.command()
@click.option("--name", required=True, help="What it will be known by.")
@once_option
@json_option
def create(*, name: str, idempotency_key: str | None, as_json: bool) -> None:
    """Make a project."""
    headers = once(idempotency_key)
    show_record("POST", _PATH, as_json=as_json, json={"name": name}, headers=headers)


@project.command("list")
@listing_options
@json_option
def list_projects(*, as_json: bool, **asked: Any) -> None:
    """List projects, oldest first unless told."""
    columns = ("id", "name", "active", "created_at")
    show_list(_PATH, "projects", columns, again="latchgate project list", as_json=as_json, **asked)


@project.command()
@click.argument("project_id", metavar="ID")
@json_option
def show(*, project_id: str, as_json: bool) -> None:
    """Show a project."""
    show_record("GET", f"{_PATH}/{segment(project_id)}", as_json=as_json)


@project.command()
@click.argument("project_id", metavar="ID")
@click.option("--name", required=True, help="What it will be known by.")
@version_option
@json_option
def update(*, project_id: str, name: str, if_version: int | None, as_json: bool) -> None:
    """Rename a project."""
    path, headers = f"{_PATH}/{segment(project_id)}", if_match(if_version)
    show_record("PATCH", path, as_json=as_json, json={"name": name}, headers=headers)


@project.command()
@click.argument("project_id", metavar="ID")
@version_option
@no_wait_option
@json_option
def disable(*, project_id: str, if_version: int | None, as_json: bool) -> None:
    """Disable a project: no credential of it is accepted when this returns."""
    switch(f"{_PATH}/{segment(project_id)}/disable", if_version, as_json=as_json)


@project.command()
@click.argument("project_id", metavar="ID")
@version_option
@no_wait_option
@json_option
def enable(*, project_id: str, if_version: int | None, as_json: bool) -> None:
    """Enable a disabled project."""
    switch(f"{_PATH}/{segment(project_id)}/enable", if_version, as_json=as_json)
