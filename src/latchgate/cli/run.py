"""`latchgate run`: a command with a credential in its environment, and nothing anywhere else."""

from __future__ import annotations

import os
import subprocess
import sys

import rich_click as click

from latchgate.cli.calling import found, profile_argument, told
from latchgate.cli.output import Failed, warn

_NOT_FOUND, _NOT_RUN = 127, 126  # as shells say it


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@profile_argument
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND…")
def run(*, name: str, command: tuple[str, ...]) -> None:
    """Run a command with a profile's credential in the variables that its cloud's tools read.

    They are set for the command alone. Whatever else of the same cloud is set (OS_PASSWORD, an
    address) is not handed on, which is said; other clouds' variables are. The exit status is the
    command's, 127 where there is no such command, 126 where it can't be run.
    """
    from latchgate.cli.variables import clashing, variables

    if command[0] == "--":
        command = command[1:]
    if not command:
        msg = "say which command to run"
        raise click.UsageError(msg)
    with told():
        profile = found(name)
        pairs = dict(variables(profile))
        others = {one for one in clashing(profile) - set(pairs) if one in os.environ}
    if others:
        warn(f"not handed on: {', '.join(sorted(others))}")
    for variable, value in pairs.items():
        if "\0" in value:
            raise Failed(f"{variable}: no variable holds a NUL", code=2)
    handed = {one: value for one, value in os.environ.items() if one not in others} | pairs
    try:
        _become(command, handed)
    except FileNotFoundError:
        raise Failed(f"{command[0]}: no such command", code=_NOT_FOUND)
    except OSError as error:
        raise Failed(f"{command[0]}: {error.strerror}", code=_NOT_RUN)


def _become(command: tuple[str, ...], environment: dict[str, str]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        # In this process' place: signals and the exit status are the command's own.
        os.execvpe(command[0], command, environment)  # noqa: S606 - what the user named, no shell
    raise SystemExit(subprocess.call(command, env=environment))  # noqa: S603 - the same
