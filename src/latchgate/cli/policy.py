"""`latchgate policy`: check files here, publish them through the API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from latchgate.cli.local import config_option, loaded
from latchgate.cli.output import (
    Failed,
    json_option,
    no_wait_option,
    print_fields,
    print_json,
    print_receipt,
)

if TYPE_CHECKING:
    from latchgate.core.policy import Policy


@click.group()
def policy() -> None:
    """Check and publish policy files."""


@policy.command()
@config_option
@json_option
def check(*, config_file: Path, as_json: bool) -> None:
    """Check the policy files that the configuration names; nothing is published."""
    from latchgate.serve.local import check_policy

    files = _checked_files(config_file, as_json=as_json)
    compiled = check_policy(files)
    shadows = _compared(config_file, compiled)
    told = {
        "files": sorted(files),
        "services": sorted(compiled.services),
        "areas": len(compiled.areas),
        "shadows": shadows,
        "faults": [],
    }
    if as_json:
        print_json(told)
        return
    shown = {name: value for name, value in told.items() if name not in {"faults", "shadows"}}
    print_fields([*shown.items(), *(("shadow", line) for line in shadows)])
    click.echo("The policy files are sound.")


@policy.command()
@config_option
@no_wait_option
@json_option
def apply(*, config_file: Path, as_json: bool) -> None:
    """Check the policy files and publish them as the next version, on every verifier."""
    from latchgate.cli.api import call

    files = _checked_files(config_file, as_json=as_json)
    told = call("PUT", "/manage/v1/policy", "version", "receipt", json={"files": files})
    if as_json:
        print_json(told)
        return
    print_receipt(told["receipt"], [("version", told["version"])])


def _compared(config_file: Path, compiled: Policy) -> list[str]:
    """Say which areas with an old system could be cut over, by what this machine counted."""
    import time
    from contextlib import closing

    from latchgate.manage.shadows import summaries
    from latchgate.store.errors import StoreError
    from latchgate.store.shadows import ShadowReader

    config = loaded(config_file)
    usage = config.usage_database
    if not compiled.shadowed or (isinstance(usage, Path) and not usage.exists()):
        return []
    try:
        with closing(ShadowReader(usage)) as reader:
            found = summaries(compiled.areas, reader, now=time.time())
    except StoreError:
        return []  # of another version: migrate says so; or away
    return [f"{one.area}: {one.verdict}" for one in found if one.shadow is not None]


def _checked_files(config_file: Path, *, as_json: bool) -> dict[str, str]:
    from latchgate.core.policy_faults import PolicyError
    from latchgate.serve.local import check_policy, policy_files

    config = loaded(config_file)
    try:
        files = policy_files(config)
        check_policy(files)
    except OSError as error:
        raise Failed(f"{error.filename}: {error.strerror}", code=2)
    except PolicyError as error:
        if as_json:
            faults = [
                {"file": one.file, "line": one.line, "key": one.key, "problem": one.problem}
                for one in error.faults
            ]
            print_json({"faults": faults})
            raise SystemExit(1) from error
        raise Failed(f"the policy files can't be used; nothing was changed\n{error}")
    return files
