"""`latchgate env`: a credential in the variables that its cloud's own tools read."""

from __future__ import annotations

import rich_click as click

from latchgate.cli.calling import found, profile_argument, told
from latchgate.cli.output import Failed, json_option, print_json
from latchgate.cli.quoting import SHELLS, QuotingError, compose


@click.command()
@profile_argument
@click.option(
    "--shell",
    type=click.Choice(list(SHELLS)),
    default="sh",
    show_default=True,
    help="Who reads it: sh and powershell evaluate it, dotenv is a .env, docker a file for"
    " `docker run --env-file`, compose one for `docker compose -f`.",
)
@click.option(
    "--service",
    metavar="NAME",
    default="app",
    show_default=True,
    help="For compose: whose environment it is.",
)
@json_option
def env(*, name: str, shell: str, service: str, as_json: bool) -> None:
    """Print what a cloud's own tools read, secrets included.

    In sh: `eval "$(latchgate env PROFILE)"`. In PowerShell: `latchgate env PROFILE --shell
    powershell | Out-String | Invoke-Expression`. Both take away whatever else of that cloud is
    set. For one command alone take `latchgate run`, which leaves nothing behind.
    """
    from latchgate.cli.variables import clashing, variables

    with told():
        profile = found(name)
        pairs = variables(profile)
        others = clashing(profile) - {one for one, _ in pairs}
    if as_json:
        print_json(dict(pairs))
        return
    try:
        if shell == "compose":
            text = compose(pairs, service=service)
        else:
            text = SHELLS[shell](pairs, others)
    except QuotingError as error:
        raise Failed(str(error), code=2)
    click.echo(text, nl=False)
