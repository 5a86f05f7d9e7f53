"""Verbs that work on this machine itself: init, serve, recover."""

from __future__ import annotations

import getpass
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from latchgate import providers
from latchgate.cli.output import Failed, json_option, print_fields, print_json
from latchgate.config import Address, Config, ConfigError, load, parse_address, tls_files
from latchgate.core.location import Postgres, parse_location

if TYPE_CHECKING:  # what it takes to make one is loaded when one is made
    from latchgate.serve.local import Initialized

DEFAULT_CONFIG = ".latchgate/latchgate.toml"


config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=DEFAULT_CONFIG,
    envvar="LATCHGATE_CONFIG",
    show_default=True,
    help="The configuration file.",
)


def loaded(file: Path) -> Config:
    """Load a configuration or end the program with what is wrong with it."""
    try:
        return load(file)
    except ConfigError as error:
        raise Failed(str(error), code=2)


class Listen(click.ParamType[Address]):
    """An address to listen on: HOST:PORT, or unix:PATH where that may be."""

    name = "host:port"

    def __init__(self, *, unix: bool = False) -> None:
        self._unix = unix

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Address:
        """Read it, or end the program with what is wrong with it."""
        if isinstance(value, Address):
            return value
        try:
            return parse_address(str(value), unix=self._unix)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Database(click.ParamType[Postgres]):
    name = "uri"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Postgres:
        if isinstance(value, Postgres):
            return value
        try:
            read = parse_location(str(value), Path())
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if isinstance(read, Path):
            self.fail("must be a URI: postgresql://USER@HOST:5432/NAME", param, ctx)
        return read


@click.command()
@config_option
@click.option(
    "--provider",
    "chosen",
    multiple=True,
    type=click.Choice(providers.SHIPPED),
    help="A provider whose policy file to write; all of them unless told.",
)
@click.option(
    "--listen",
    type=Listen(),
    default="127.0.0.1:8420",
    show_default=True,
    help="The API's address.",
)
@click.option(
    "--console-listen",
    type=Listen(),
    default="127.0.0.1:8421",
    show_default=True,
    help="The console's address.",
)
@click.option(
    "--verify-listen",
    type=Listen(unix=True),
    default="127.0.0.1:8422",
    show_default=True,
    help="The gateways' address, or unix:/PATH.",
)
@click.option(
    "--database",
    type=_Database(),
    metavar="URI",
    help="Keep records and usage in PostgreSQL: postgresql://USER@HOST:5432/NAME, which is empty.",
)
@click.option(
    "--no-database",
    is_flag=True,
    help="Only configuration and policy files: for a database that load or restore makes.",
)
@click.option("--if-missing", is_flag=True, help="Do nothing when the configuration exists.")
@json_option
def init(  # noqa: PLR0913 - one parameter an option
    *,
    config_file: Path,
    chosen: tuple[str, ...],
    listen: Address,
    console_listen: Address,
    verify_listen: Address,
    database: Postgres | None,
    no_database: bool,
    if_missing: bool,
    as_json: bool,
) -> None:
    """Make a configuration, policy files, a database, an admin and a first token.

    The password and the token are shown once. A profile beside the configuration lets the
    other verbs use the token.
    """
    from latchgate.serve.local import InUseError, initialize
    from latchgate.store.errors import ConflictError, StoreError

    if if_missing and config_file.exists():
        return
    os.umask(0o077)
    try:
        made = initialize(
            config_file,
            chosen=chosen or providers.SHIPPED,
            api=str(listen),
            console=str(console_listen),
            verify=str(verify_listen),
            at=database,
            database=not no_database,
        )
    except ConfigError as error:
        raise Failed(f"{error}; nothing was changed", code=2)
    except FileExistsError as error:
        raise Failed(f"{error}; nothing was changed. Name another place with --config")
    except InUseError as error:
        raise Failed(f"{error}. Nothing was changed")
    except (ConflictError, StoreError) as error:
        raise Failed(f"{error}; no configuration was written")
    except OSError as error:
        raise Failed(f"{error.filename}: {error.strerror}; nothing was changed")
    _show_made(made, as_json=as_json)


def _show_made(made: Initialized, *, as_json: bool) -> None:
    """Show what `init` made; the secrets of the first user this once."""
    config, first = made.config, made.first
    if first is None:
        if as_json:
            print_json({"config": str(config.file)})
        else:
            print_fields([("configuration", config.file)])
        return
    if as_json:
        print_json(
            {
                "config": str(config.file),
                "master_key": str(config.master_key),
                "api": config.api.url,
                "console": config.console.url,
                "verify": config.verify.url,
                "tenant": first.tenant,
                "admin": {"name": first.admin, "password": first.password.reveal()},
                "token": first.token.reveal(),
            }
        )
        return
    # A file stands beside the configuration, as the others do.
    shared = [("database", config.database)] if isinstance(config.database, Postgres) else []
    print_fields(
        [
            ("configuration", config.file),
            *shared,
            ("profile", f"{config.profile} (holds the token; only you can read it)"),
            ("master key", f"{config.master_key} (keep a copy elsewhere)"),
            ("tenant", first.tenant),
            ("admin", first.admin),
            ("password", first.password.reveal()),
            ("token", first.token.reveal()),
        ]
    )
    click.echo("Password and token are shown this once. Lost? latchgate recover")


@click.command()
@config_option
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="How many processes share the addresses.",
)
@click.option("--listen", type=Listen(), help="The API's address instead of the configured one.")
@click.option("--console-listen", type=Listen(), help="The console's address.")
@click.option("--verify-listen", type=Listen(unix=True), help="The gateways' address.")
@click.option(
    "--tls-cert",
    metavar="FILE",
    help="PEM certificate with its chain, for API and console, instead of the configured one.",
)
@click.option("--tls-key", metavar="FILE", help="PEM private key of that certificate.")
@json_option
def serve(
    *,
    config_file: Path,
    workers: int,
    listen: Address | None,
    console_listen: Address | None,
    verify_listen: Address | None,
    tls_cert: str | None,
    tls_key: str | None,
    as_json: bool,
) -> None:
    """Run the server until it is told to stop (SIGTERM or Ctrl-C).

    With TLS, SIGHUP makes it read the certificate's files again.
    """
    from dataclasses import replace

    from latchgate.serve.supervisor import ServeError
    from latchgate.serve.supervisor import serve as run
    from latchgate.serve.tls import CertificateError

    config = loaded(config_file)
    try:
        files = tls_files(tls_cert, tls_key, Path.cwd())
    except ValueError as error:
        raise Failed(f"--tls-cert, --tls-key: {error}", code=2)
    config = replace(
        config,
        api=listen or config.api,
        console=console_listen or config.console,
        verify=verify_listen or config.verify,
    ).with_tls(files or config.tls)

    try:
        run(config, workers=workers, announce=partial(_announce, as_json=as_json))
    except CertificateError as error:
        raise Failed(f"{error}", code=2)
    except ServeError as error:
        raise Failed(str(error))


def _announce(up: Config, *, as_json: bool) -> None:
    """Show where everything answers."""
    from latchgate.doors.console.site import Site

    if as_json:
        print_json({"api": up.api.url, "console": up.console.url, "verify": up.verify.url})
    else:
        print_fields(
            [
                ("api", f"{up.api.url}  (management: /manage/v1/openapi.json)"),
                ("console", f"{Site.of(up.issuer).opened_at}  (sign in here with a browser)"),
                ("verify", f"{up.verify.url}  (for gateways only)"),
            ]
        )
        click.echo("Latchgate is up; Ctrl-C stops it.")
    sys.stdout.flush()


@click.command()
@config_option
@json_option
def recover(*, config_file: Path, as_json: bool) -> None:
    """Issue a new operator token on this machine, when every other one is lost.

    Goes to the database directly, so it needs no token, only the right to write there. The
    journal says that it happened and who did it. The profile is written anew.
    """
    from latchgate.manage.errors import NotFoundError
    from latchgate.serve.local import recover as issue
    from latchgate.store.errors import StoreError

    config = loaded(config_file)
    if isinstance(config.database, Path) and not config.database.exists():
        raise Failed(f"{config.database} does not exist; run latchgate init")
    try:
        token, unwritten = issue(config, who=getpass.getuser())
    except (NotFoundError, StoreError) as error:
        raise Failed(str(error))
    if unwritten is not None:
        reason = f"{unwritten.filename}: {unwritten.strerror}"
        click.echo(f"latchgate: the profile could not be written ({reason})", err=True)
    if as_json:
        print_json({"token": token.reveal(), "profile": str(config.profile)})
        return
    print_fields([("token", token.reveal()), ("profile", config.profile)])
    click.echo("The token is shown this once.")
