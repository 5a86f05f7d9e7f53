"""The command line.

Rules of this folder: every verb takes `--json`, but for `run`, whose output is another program's;
what a program may want goes to standard output, everything else to standard error; a refusal exits
with 1, a wrong call with 2; an error says what was wrong, where, and what would be right; a secret
is printed once, or by verbs that are for nothing else, and never taken as an argument. Verbs import
what they need when they run.
"""

from __future__ import annotations

import sys
import traceback
from importlib import import_module
from types import TracebackType

try:
    import rich_click as click
except ModuleNotFoundError:  # programs need no command line, so the base install has none
    raise SystemExit(
        "latchgate: the command line is not installed; run: pip install 'latchgate[cli]',"
        " or 'latchgate[server]' to run a server"
    ) from None

from latchgate import __version__

_VERBS = {
    "init": ("latchgate.cli.local", "init", "Make a configuration, a database and a first token."),
    "serve": ("latchgate.cli.local", "serve", "Run the server."),
    "edge": (
        "latchgate.cli.edge",
        "edge",
        "Decide near the gateway, following a Latchgate elsewhere.",
    ),
    "recover": ("latchgate.cli.local", "recover", "Get a new operator token, on this machine."),
    "tenant": ("latchgate.cli.tenant", "tenant", "Make, suspend and reinstate tenants."),
    "user": ("latchgate.cli.user", "user", "Make and change users, give and take roles."),
    "project": ("latchgate.cli.project", "project", "Make, rename and disable projects."),
    "role": ("latchgate.cli.role", "role", "Make, change and delete roles."),
    "login": ("latchgate.cli.login", "login", "Sign in with a browser."),
    "logout": ("latchgate.cli.login", "logout", "End the sign-in, with all of its tokens."),
    "whoami": ("latchgate.cli.whoami", "whoami", "Show who you are and what you may do."),
    "profile": ("latchgate.cli.profile", "profile", "Keep credentials for clouds under names."),
    "call": (
        "latchgate.cli.call",
        "call",
        "Send a request to a cloud with a profile's credential.",
    ),
    "token": ("latchgate.cli.token", "token", "Print a live token of a profile, for scripts."),
    "env": ("latchgate.cli.env", "env", "Print the variables that a cloud's own tools read."),
    "run": ("latchgate.cli.run", "run", "Run a command with a profile's credential."),
    "key": ("latchgate.cli.key", "key", "Make, list, show, update, narrow and revoke keys."),
    "access-key": (
        "latchgate.cli.access_key",
        "access_key",
        "Make, list, show and delete access keys.",
    ),
    "lifetime": (
        "latchgate.cli.lifetime",
        "lifetime",
        "Say how long keys may live, and list those that are overdue.",
    ),
    "webhook": ("latchgate.cli.webhook", "webhook", "Have events sent to a URL."),
    "basic": ("latchgate.cli.basic", "basic", "Enable, reissue and disable app passwords."),
    "account": ("latchgate.cli.account", "account", "API tokens and passwords."),
    "app": ("latchgate.cli.app", "app", "Request, review, block and withdraw applications."),
    "oauth-client": (
        "latchgate.cli.oauth_client",
        "oauth_client",
        "Make and withdraw OAuth2 clients, rotate their secrets.",
    ),
    "workload": (
        "latchgate.cli.workload",
        "workload",
        "Let CI jobs in by what their issuer signs of them.",
    ),
    "consent": ("latchgate.cli.consent", "consent", "List and withdraw what clients may do."),
    "migrate": (
        "latchgate.cli.upkeep",
        "migrate",
        "Bring the databases of an older version to this one.",
    ),
    "import": (
        "latchgate.cli.importing",
        "imports",
        "Import keys, hashes and passwords of another system.",
    ),
    "backup": ("latchgate.cli.moving", "backup", "Back up a running server into one file."),
    "restore": ("latchgate.cli.moving", "restore", "Put a backup in the database's place."),
    "restored": (
        "latchgate.cli.moving",
        "restored",
        "Say that PostgreSQL was put back to an earlier state.",
    ),
    "export": ("latchgate.cli.moving", "export", "Write every record as JSON lines."),
    "load": ("latchgate.cli.moving", "load", "Make a new database from an export."),
    "signing-key": ("latchgate.cli.upkeep", "signing_key", "List and replace signing keys."),
    "policy": ("latchgate.cli.policy", "policy", "Check and publish policy files."),
    "shadow": (
        "latchgate.cli.shadow",
        "shadow",
        "Compare areas with the old systems that they replace.",
    ),
    "alert": ("latchgate.cli.alert", "alert", "Make and change alerts, see when they were raised."),
    "audit": ("latchgate.cli.audit", "audit", "List, export and check what was changed."),
    "scan": ("latchgate.cli.scan", "scan", "Find keys in files, git and logs."),
    "leak": (
        "latchgate.cli.leak",
        "leak",
        "Report leaked keys, list leaks, say what happens then.",
    ),
    "usage": ("latchgate.cli.usage", "usage", "Count requests, and sum what they cost."),
    "access-log": (
        "latchgate.cli.access_log",
        "access_log",
        "Show who was allowed and refused what.",
    ),
    "status": ("latchgate.cli.status", "status", "Show nodes, verifiers and the last receipts."),
    "receipt": ("latchgate.cli.status", "receipt", "Wait until every verifier follows a change."),
    "explain": ("latchgate.cli.explain", "explain", "Say why a request is allowed or refused."),
}


class _Lazy(click.RichGroup):
    """Imports a verb's module only when that verb runs."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        module, name, _ = _VERBS[cmd_name]
        command: click.Command = getattr(import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            from latchgate.cli.output import Failed

            if error.name is None or error.name.partition(".")[0] == "latchgate":
                raise
            raise Failed(f"{error.name} is missing; run: pip install 'latchgate[server]'")


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="latchgate")
def main() -> None:
    """Latchgate: issue credentials, decide requests, say why."""
    sys.excepthook = _fault


def _fault(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print what nobody caught, which is a fault of ours, with every secret in it masked."""
    from latchgate import providers
    from latchgate.core.policy_file import with_built_in
    from latchgate.core.redact import redactor

    try:
        files = {f"{name}.toml": providers.text(f"{name}.toml") for name in providers.SHIPPED}
        policy = with_built_in(files, providers.text(providers.BUILT_IN), version=0)
        told = redactor(policy.patterns())("".join(traceback.format_exception(kind, error, trace)))
    except Exception:  # noqa: BLE001 - what can't be masked is not shown
        told = f"{kind.__name__}\n"
    click.echo(f"latchgate: this is a fault of Latchgate's own; please report it\n{told}", err=True)
