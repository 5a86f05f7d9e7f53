"""`latchgate profile`: named credentials for calls to clouds."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from latchgate.cli.calling import MANAGEMENT, found, opened, opener, profile_argument, told
from latchgate.cli.output import Failed, json_option, print_fields, print_json, print_table

if TYPE_CHECKING:  # loaded when a verb runs
    from latchgate.client.flow import Cloud, Identity, Step
    from latchgate.client.profiles_file import Entry

_CLOUDS = ("wayscloud", "upcloud", "teracloud", "kakaocloud", "oauth2", "latchgate")
_ASKED = ("prompt", "stdin")
_FROM = (*_ASKED, "environment", "dotenv", "file", "keyring", "command")
_FIELDS = ("username", "user", "access_key_id", "access_key_name", "user_id", "client_id")
_SETTINGS = (
    *("via", "region", "issuer", "token_url", "device_url"),
    *("grant", "scope", "resource", "audience", "auth"),
)
_BY_VARIABLES = ("environment", "dotenv", "file")


@click.group()
def profile() -> None:
    """Keep credentials for clouds under names, for `call`, `run`, `env`, `token` and `whoami`.

    A profile says which cloud, at which address, and where its credential comes from: it holds
    the credential itself, or names the one source that has it. Profiles are in
    ~/.config/latchgate/profiles.toml (below XDG_CONFIG_HOME where that is set), of mode 0600.

    The profile named `latchgate` is always that which `latchgate login` or `latchgate init` made,
    and that all verbs which manage a Latchgate use; LATCHGATE_PROFILE=NAME has them use a profile
    of the cloud `latchgate` instead.
    """


def _option(
    name: str, metavar: str, words: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(f"--{name.replace('_', '-')}", name, metavar=metavar, help=words)


@profile.command()
@click.argument("name", metavar="NAME")
@click.option("--cloud", required=True, type=click.Choice(_CLOUDS), help="Which cloud it is for.")
@click.option(
    "--from",
    "source",
    type=click.Choice(_FROM),
    default="prompt",
    show_default=True,
    help="Where the secret comes from. prompt asks for it now, stdin reads it now (one line, or a"
    " JSON object by field); the others are looked at whenever it is needed.",
)
@click.option(
    "--store",
    type=click.Choice(["keyring", "file"]),
    help="Where a secret that was asked for or read is kept; the system's keyring unless told,"
    " the profiles' file where there is no keyring.",
)
@_option("url", "URL", "The API's address, where it is not the cloud's own.")
@click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="URL",
    help="One more address that the credential may go to. Repeatable.",
)
@click.option(
    "--ca",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="PEM file of the only authorities that its certificate may come from.",
)
@_option("username", "NAME", "UpCloud: the subaccount's name; a token is taken without it.")
@_option("user", "NAME", "TeraCLOUD: the user.")
@_option("access_key_id", "ID", "KakaoCloud: the access key's id.")
@_option("access_key_name", "NAME", "KakaoCloud: its name, together with --user-id.")
@_option("user_id", "ID", "KakaoCloud: whose key it is.")
@_option("client_id", "ID", "OAuth2: the client.")
@_option("via", "header|matrix", "TeraCLOUD: how the API key is sent.")
@_option("region", "NAME", "KakaoCloud: OS_REGION_NAME of `latchgate env`.")
@_option("issuer", "URL", "OAuth2: the issuer, whose metadata tells its token endpoint.")
@_option("token_url", "URL", "OAuth2: the token endpoint, instead of --issuer.")
@_option("device_url", "URL", "OAuth2: where device codes are got, beside --token-url.")
@click.option(
    "--grant",
    type=click.Choice(["client_credentials", "device", "refresh"]),
    help="OAuth2: how the first token is got; with the client's secret unless told, by a person"
    " who types a code, or with a refresh token.",
)
@_option("scope", "SCOPES", "OAuth2: the scopes to ask for.")
@_option("resource", "URL", "OAuth2: the API that the token is for (RFC 8707).")
@_option("audience", "NAME", "OAuth2: whom the token is for.")
@_option("auth", "basic|post|none", "OAuth2: how the client proves itself.")
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="For --from dotenv and file: which, the usual one unless told.",
)
@_option("entry", "NAME", "For --from file and keyring: which entry, such as one of clouds.yaml.")
@_option("command", "COMMAND", "For --from command: what prints it, such as 'pass show upcloud'.")
@click.option("--replace", is_flag=True, help="Put it in the place of a profile of that name.")
@json_option
def add(  # noqa: PLR0913 - one parameter an option
    *,
    name: str,
    cloud: str,
    source: str,
    store: str | None,
    url: str | None,
    origins: tuple[str, ...],
    ca: Path | None,
    file: Path | None,
    entry: str | None,
    command: str | None,
    replace: bool,
    as_json: bool,
    **told_fields: str | None,
) -> None:
    """Make a profile; its secret is asked for without echo, and is never an argument.

    `latchgate profile test NAME` then asks the cloud whether it stands.
    """
    from latchgate.cli.profile_secrets import asked, read
    from latchgate.client.profiles_file import Entry

    if name == MANAGEMENT:
        raise Failed(f"{name} is the profile that login and init make; take another name", code=2)
    _fitting(source, store=store, file=file, entry=entry, command=command)
    given = {one: value for one, value in told_fields.items() if value}
    made = Entry(
        cloud,
        "here" if source in _ASKED else source,
        url=url,
        origins=origins,
        ca=_absolute(ca),
        file=_absolute(file),
        entry=entry,
        command=_words(command),
        fields={one: given[one] for one in _FIELDS if one in given},
        settings={one: given[one] for one in _SETTINGS if one in given},
    )
    with told():
        _free(name, replacing=replace)
        if source in _ASKED:
            made = asked(name, made) if source == "prompt" else read(name, made)
        _checked(name, made)
        path, made = _put(name, made, store, replace=replace)
    shown = _shown(name, made) | {"file": str(path)}
    if as_json:
        print_json(shown)
        return
    print_fields(shown.items())


def _fitting(
    source: str, *, store: str | None, file: Path | None, entry: str | None, command: str | None
) -> None:
    for option, value, sources in (
        ("--store", store, _ASKED),
        ("--file", file, ("dotenv", "file")),
        ("--entry", entry, ("file", "keyring")),
        ("--command", command, ("command",)),
    ):
        if value is not None and source not in sources:
            msg = f"{option} goes with --from {' or '.join(sources)}"
            raise click.UsageError(msg)
    if source == "command" and not command:
        msg = "--from command needs --command"
        raise click.UsageError(msg)


def _words(command: str | None) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(command)) if command is not None else ()
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--command")
    if command is not None and not words:
        msg = "names no program"
        raise click.BadParameter(msg, param_hint="--command")
    return words


def _absolute(path: Path | None) -> str | None:
    return os.path.abspath(path) if path is not None else None  # noqa: PTH100 - links stay


def _free(name: str, *, replacing: bool) -> None:
    """Say before anybody types a secret that it could not be kept."""
    from latchgate.client.errors import CredentialInvalid
    from latchgate.client.profiles_file import NAME, read

    if NAME.fullmatch(name) and name in read() and not replacing:
        msg = f"there is a profile {name} already: remove it first, or say --replace"
        raise CredentialInvalid(msg)


def _put(name: str, made: Entry, store: str | None, *, replace: bool) -> tuple[Path, Entry]:
    """Keep the secret and write the profile; what it replaced leaves nothing behind."""
    from latchgate.cli.profile_secrets import forgotten, kept
    from latchgate.client import profiles_file

    before = profiles_file.read().get(name)
    if before is not None:
        _drop_token(name, before)
    entry = kept(name, made, store)
    try:
        path = profiles_file.put(name, entry, replacing=replace)
    except BaseException:
        if before is None or before.entry != entry.entry:
            forgotten(name, entry)
        raise
    if before is not None and before.entry != entry.entry:
        forgotten(name, before)
    return path, entry


def _checked(name: str, made: Entry) -> None:
    """Refuse what could not be used: fields, addresses and, where it is held, the secret."""
    from latchgate.client.errors import CredentialInvalid
    from latchgate.client.hosts import base
    from latchgate.client.profiles import From, lacking, of

    told_profile = of(name, made)
    for one in (*((made.url,) if made.url else ()), *made.origins):
        base(one, made.cloud)
    lacking(told_profile.wanted, told_profile.fields)
    if not told_profile.wanted.variables and told_profile.source in _BY_VARIABLES:
        msg = f"{made.cloud} has no variables of its own: take prompt, stdin, keyring or command"
        raise CredentialInvalid(msg)
    if told_profile.source is From.HERE:
        told_profile.open(cache=None)


@profile.command("list")
@json_option
def list_profiles(*, as_json: bool) -> None:
    """List profiles, that of login and init first; never a secret."""
    from latchgate.client.profiles_file import read

    with told():
        entries = read()
    rows = [*_management(), *(_shown(name, entries[name]) for name in sorted(entries))]
    if as_json:
        print_json({"profiles": rows})
        return
    print_table(("name", "cloud", "from", "url"), rows)


def _management() -> list[dict[str, Any]]:
    from latchgate.cli.management_profile import named_profile, profile_file

    named = named_profile()
    if named is not None and not os.environ.get("LATCHGATE_TOKEN"):
        where = f"profile {named}"
        return [{"name": MANAGEMENT, "cloud": "latchgate", "from": where, "url": None}]
    url, path = os.environ.get("LATCHGATE_URL"), profile_file()
    where = "environment" if url else str(path)
    if not url and not path.exists():
        return []
    return [{"name": MANAGEMENT, "cloud": "latchgate", "from": where, "url": url}]


def _shown(name: str, entry: Entry) -> dict[str, Any]:
    # The words after the first may hold secrets.
    command = (
        shlex.quote(entry.command[0]) + " …" * (len(entry.command) > 1) if entry.command else ""
    )
    places = (entry.file, entry.entry if entry.entry != f"profile/{name}" else None, command)
    where = " ".join([entry.source, *(one for one in places if one)])
    told_fields = {"name": name, "cloud": entry.cloud, "from": where, "url": entry.url}
    return told_fields | dict(entry.fields) | dict(entry.settings)


@profile.command()
@profile_argument
@json_option
def remove(*, name: str, as_json: bool) -> None:
    """Remove a profile, and the secret that it holds, in the keyring too.

    What it names (variables, files, what a command prints) stays as it is, and so does the
    credential at the cloud: revoke it there if nobody is to use it any more.
    """
    from latchgate.cli.profile_secrets import forgotten
    from latchgate.client import profiles_file

    with told():
        entry = profiles_file.read().get(name)
        if entry is not None:
            _drop_token(name, entry)
        profiles_file.remove(name)
        if entry is not None:
            forgotten(name, entry)
    if as_json:
        print_json({"removed": name})
        return
    print_fields([("removed", name)])


def _drop_token(name: str, entry: Entry) -> None:
    """Drop a token that is kept for a profile, as far as its credential can still be had."""
    from latchgate.client.errors import ClientError
    from latchgate.client.profiles import of

    with contextlib.suppress(ClientError):
        kept = of(name, entry)
        if kept.kind.fetched:
            opened(kept).forget()


def _anew(cloud: Cloud) -> Generator[Step, Any, Identity]:
    from latchgate.client.flow import Obtain

    if cloud.renewal is not None:
        known = yield Obtain()
        if cloud.renewal.cache is not None:
            yield Obtain(refused=known)
    return (yield from cloud.identify())


@profile.command()
@profile_argument
@json_option
def test(*, name: str, as_json: bool) -> None:
    """Ask the cloud whether a profile's credential stands, with a token fetched anew."""
    from latchgate.cli.whoami import print_identity

    with told():
        kept = found(name)
        # A refresh token is good once, and the newest is where tokens are kept.
        cloud = opened(kept, keeping=kept.rotates)
        identity = opener(cloud, kept).run(_anew(cloud))
    print_identity(identity, as_json=as_json, stands=name)
