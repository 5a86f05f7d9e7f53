"""`latchgate import`: credentials of another system, on the machine that the database is on."""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import rich_click as click

from latchgate.cli.local import config_option, loaded
from latchgate.cli.output import Failed, json_option, print_fields, print_json

if TYPE_CHECKING:
    from latchgate.manage.imports import Defaults, Outcome

_FORMATS = ("jsonl", "csv", "htpasswd", "keystone")
_MAX_TOLD = 20


@click.command(name="import")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--format", "form", type=click.Choice(_FORMATS), required=True, help="What FILE is.")
@click.option("--kind", help="The kind of every line that names none: acme.imported_key.")
@click.option("--tenant", help="Whose they are: id or name. The only tenant unless told.")
@click.option("--owner", help="Id or name of the user, for lines that name none.")
@click.option("--project", help="Id or name of the project. The owner's only one unless told.")
@click.option("--service", "services", multiple=True, help="A service, for lines that name none.")
@click.option("--scope", "scopes", multiple=True, help="A scope, for lines that name none.")
@click.option("--namespace", help="Where login names are looked up; the kind's provider's.")
@click.option("--create-users", is_flag=True, help="Make owners that are not there yet.")
@click.option("--user-role", metavar="ROLE", help="The role that they get in the project.")
@click.option(
    "--map", "columns", multiple=True, metavar="COLUMN=FIELD", help="What a column is called here."
)
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), help="Write failed lines there."
)
@config_option
@json_option
def imports(  # noqa: PLR0913 - one parameter an option
    *,
    file: str,
    form: str,
    columns: tuple[str, ...],
    dry_run: bool,
    report: Path | None,
    config_file: Path,
    as_json: bool,
    tenant: str | None,
    create_users: bool,
    user_role: str | None,
    **line: Any,
) -> None:
    """Import keys, hashes and passwords of another system.

    Goes to the database directly, while the server runs: it needs no token, only the right to write
    there. What can't be taken is told by line number and the rest goes in; run it again to go on
    where it was broken off. Ends with 0 when all is in, 1 when lines failed, 2 when nothing could
    be read.
    """
    from latchgate.core.policy_faults import PolicyError
    from latchgate.manage.errors import InvalidError, NotFoundError
    from latchgate.manage.import_formats import FORMATS, KINDS, FormatError
    from latchgate.serve.importing import import_lines
    from latchgate.store.errors import ConflictError, StoreError

    config = loaded(config_file)
    if isinstance(config.database, Path) and not config.database.exists():
        raise Failed(f"{config.database} does not exist; run latchgate init", code=2)
    line["kind"] = line["kind"] or KINDS.get(form)
    defaults = _defaults(line, create_users=create_users, user_role=user_role)
    renamed = _columns(columns)
    with ExitStack() as held:
        source = _opened(file, held)
        failures = _Failures(report, held)
        advance = _progress(source, held, quiet=as_json)

        def told(_count: int, outcome: Outcome) -> None:
            failures.write(outcome)
            advance()

        try:
            total = import_lines(
                config,
                FORMATS[form](_texts(source), renamed),
                tenant=tenant,
                who=getpass.getuser(),
                defaults=defaults,
                dry_run=dry_run,
                on_batch=told,
            )
        except (FormatError, UnicodeDecodeError) as error:
            why = "is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
            raise Failed(f"{file}: {why}", code=2)
        except (InvalidError, NotFoundError, PolicyError) as error:
            raise Failed(f"{error}; nothing was imported", code=2)
        except (ConflictError, StoreError) as error:
            raise Failed(f"{error}. What was imported before stays; run it again to go on")
    _print(total, dry_run=dry_run, as_json=as_json, report=report)
    if total.failed:
        raise SystemExit(1)
    if not total.imported and not total.skipped:
        raise Failed(f"{file}: there is no line in it", code=2)


def _defaults(line: dict[str, Any], *, create_users: bool, user_role: str | None) -> Defaults:
    from latchgate.manage.import_lines import LineError, made_line
    from latchgate.manage.imports import Defaults

    try:
        made = made_line({name: value for name, value in line.items() if value})
    except LineError as error:
        raise Failed(f"--{error}", code=2)
    return Defaults(line=made, create_users=create_users, user_role=user_role)


def _columns(told: tuple[str, ...]) -> dict[str, str]:
    pairs = [one.partition("=") for one in told]
    if any(not column or not field for column, _, field in pairs):
        raise Failed("--map is written COLUMN=FIELD", code=2)
    return {column: field for column, _, field in pairs}


def _opened(file: str, held: ExitStack) -> TextIO:
    if file == "-":
        sys.stdin.reconfigure(encoding="utf-8", errors="strict")  # type: ignore[union-attr]
        return sys.stdin
    try:
        return held.enter_context(Path(file).open(encoding="utf-8", newline=""))
    except OSError as error:
        raise Failed(f"{file}: {error.strerror}", code=2)


def _texts(source: TextIO) -> Iterator[str]:
    # By readline, so that how far it has read can be told.
    return iter(source.readline, "")


class _Failures:
    """Tells failed lines as they come: into the report file, or the first on standard error."""

    def __init__(self, report: Path | None, held: ExitStack) -> None:
        self._told = 0
        self._file: TextIO | None = None
        if report is not None:
            try:
                made = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            except OSError as error:
                raise Failed(f"{report}: {error.strerror}", code=2)
            self._file = held.enter_context(os.fdopen(made, "w", encoding="utf-8"))

    def write(self, outcome: Outcome) -> None:
        for failure in outcome.failed:
            if self._file is not None:
                told = {"line": failure.line, "problem": failure.problem}
                self._file.write(json.dumps(told, ensure_ascii=False) + "\n")
            elif self._told < _MAX_TOLD:
                click.echo(f"line {failure.line}: {failure.problem}", err=True)
            elif self._told == _MAX_TOLD:
                click.echo("… more lines failed; --report FILE lists them all", err=True)
            self._told += 1


def _progress(source: TextIO, held: ExitStack, *, quiet: bool) -> Callable[[], None]:
    """Show how much of a file was read, on a terminal."""
    if quiet or not sys.stderr.isatty() or source is sys.stdin:
        return lambda: None
    from rich.console import Console
    from rich.progress import Progress

    size = os.fstat(source.fileno()).st_size
    bar = held.enter_context(Progress(console=Console(stderr=True), transient=True))
    task = bar.add_task("importing", total=size)
    return lambda: bar.update(task, completed=min(source.buffer.tell(), size))


def _print(total: Outcome, *, dry_run: bool, as_json: bool, report: Path | None) -> None:
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "imported": total.imported,
                "skipped": total.skipped,
                "failed": len(total.failed),
                "users_created": total.users,
                "journal": total.n,
                "failures": [{"line": one.line, "problem": one.problem} for one in total.failed],
            }
        )
        return
    would = "would be " if dry_run else ""
    print_fields(
        [
            (f"{would}imported", total.imported),
            ("there already", total.skipped),
            ("failed", f"{len(total.failed)}" + (f" (see {report})" if report else "")),
            (f"users {would}created", total.users),
        ]
    )
