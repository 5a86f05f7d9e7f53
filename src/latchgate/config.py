"""`latchgate.toml`: what one server is told, checked before anything starts.

Rule of this file: every key is documented where it is declared (`config_entries.py`;
docs/reference/configuration.md is made from there), and an unknown or impossible one is refused
with file, key and line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from latchgate.config_entries import (
    AccessLogEntry,
    AuditEntry,
    ConfigEntry,
    LeaksEntry,
    ListenEntry,
    MailEntry,
    NodeEntry,
    UsageEntry,
)
from latchgate.config_gateways import GatewayCaches, read_caches
from latchgate.config_sign_in import read_providers
from latchgate.core.duration import parse_duration
from latchgate.core.identity_provider import IdentityProvider
from latchgate.core.location import Location, Postgres, parse_location
from latchgate.core.network import Networks
from latchgate.core.toml_lines import line_of


class ConfigError(Exception):
    """The configuration can't be used; the message names file, line, key and what is wrong."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: host and port, or the path of a unix socket; with TLS or in the clear."""

    host: str
    port: int
    path: str | None
    tls: bool = False

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The address as people open it."""
        if self.path is not None:
            return str(self)
        return f"https://{self}" if self.tls else f"http://{self}"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The PEM files of a certificate with its chain, and of its private key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class MailServer:
    """How e-mail is sent; the files are read when it is."""

    host: str
    port: int
    tls: str
    username: str | None
    password_file: Path | None
    sender: str
    operator: str | None
    ca: Path | None


@dataclass(frozen=True, slots=True)
class AuditExport:
    """Where the journal is exported to, how often and for how long it stays (seconds)."""

    directory: Path
    every: int
    keep: int | None


@dataclass(frozen=True, slots=True)
class AccessFiles:
    """Where the access log is written, for how many days it is kept and how large it may get."""

    directory: Path
    days: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Partner:
    """Who may report leaks, and where their public keys are: at a URL, or in a file."""

    name: str
    keys_url: str | None
    keys_file: Path | None


@dataclass(frozen=True, slots=True)
class Node:
    """What this machine is called, and for how long it believes what it remembers (seconds).

    `name` None stands for the host's own; `stale` is for how long while the database can't be
    reached, None where no longer than `lease`. `drain` is how long it says that it stops before it
    takes nothing new.
    """

    name: str | None
    lease: float
    stale: float | None
    drain: float


@dataclass(frozen=True, slots=True)
class Config:
    """The checked configuration, with absolute paths."""

    file: Path
    database: Location
    usage_database: Location
    node: Node
    master_key: Path
    policy: tuple[Path, ...]
    api: Address
    console: Address
    console_url: str | None
    translations: Path | None
    verify: Address
    trusted: Networks
    gateway_caches: GatewayCaches | None
    tls: TlsFiles | None
    webhook_networks: Networks
    workload_networks: Networks
    mail: MailServer | None
    audit: AuditExport | None
    usage: UsageEntry
    access_log: AccessFiles | None
    partners: tuple[Partner, ...]
    providers: tuple[IdentityProvider, ...]
    log_level: str

    def with_tls(self, files: TlsFiles | None) -> Config:
        """Return this configuration with API and console behind TLS, or both in the clear."""
        on = files is not None
        return replace(
            self, api=replace(self.api, tls=on), console=replace(self.console, tls=on), tls=files
        )

    @property
    def issuer(self) -> str:
        """Where browsers reach the console, which is the issuer of its tokens (RFC 8414 §2)."""
        return self.console_url if self.console_url is not None else self.console.url

    @property
    def profile(self) -> Path:
        """The command line's profile, beside the configuration."""
        return self.file.with_name("profile.toml")


_ADDRESS = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9.-]+)):(?P<port>[0-9]{1,5})"
)
_SOCKET = re.compile(r"unix:/[A-Za-z0-9._/@+-]{1,100}")
_MAX_PORT = 65_535
MIN_EXPORT_SECONDS = 60
# An origin, as browsers write it (RFC 6454 §6.2); in the clear on this machine alone.
_CONSOLE_URL = re.compile(
    r"https://[a-z0-9.-]{1,253}(?::[0-9]{1,5})?"
    r"|http://(?:127\.0\.0\.1|\[::1\]|localhost)(?::[0-9]{1,5})?"
)
# Over TLS, or from this machine.
_KEYS_URL = re.compile(
    r"https://[!-~]{1,2000}|http://(?:127\.0\.0\.1|\[::1\]|localhost)(?::[0-9]+)?/[!-~]*"
)


def parse_address(text: str, *, unix: bool = False) -> Address:
    """Read `HOST:PORT`, `[IPV6]:PORT` or, where allowed, `unix:PATH`; ValueError otherwise."""
    if unix and _SOCKET.fullmatch(text):
        return Address(host="", port=0, path=text.removeprefix("unix:"))
    found = _ADDRESS.fullmatch(text)
    if not found or int(found["port"]) > _MAX_PORT:
        more = " or unix:/PATH" if unix else ""
        msg = f"{text!r} is not an address; write HOST:PORT, for example 127.0.0.1:8420{more}"
        raise ValueError(msg)
    return Address(host=found["six"] or found["host"], port=int(found["port"]), path=None)


def tls_files(certificate: str | None, key: str | None, folder: Path) -> TlsFiles | None:
    """Name both files of TLS, or neither; ValueError when one is missing or no name at all."""
    if certificate is None and key is None:
        return None
    if not certificate or not key:
        missing = "key" if certificate else "certificate"
        msg = f"certificate and key belong together; name the file of the {missing} too"
        raise ValueError(msg)
    return TlsFiles(folder / certificate, folder / key)


def load(file: Path) -> Config:
    """Read and check a configuration file; ConfigError says what is wrong and where."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        msg = f"{file}: can't be read ({error.strerror}); latchgate init makes one"
        raise ConfigError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{file}: is not UTF-8 text"
        raise ConfigError(msg) from error
    try:
        entry = msgspec.convert(tomllib.loads(text), ConfigEntry)
    except msgspec.ValidationError as error:
        raise ConfigError(_worded(file, text, str(error))) from error
    except (ValueError, RecursionError) as error:
        # Besides its own error the parser lets through those of too long a number and too deep
        # a nest.
        msg = f"{file}: not TOML: {error}"
        raise ConfigError(msg) from error
    try:
        files = tls_files(entry.tls.certificate, entry.tls.key, file.absolute().parent)
    except ValueError as error:
        msg = f"{file}:{line_of(text, 'tls')}: tls: {error}"
        raise ConfigError(msg) from error
    return _checked(file, text, entry).with_tls(files)


def _checked(file: Path, text: str, entry: ConfigEntry) -> Config:
    def at(key: str, problem: object) -> ConfigError:
        return ConfigError(f"{file}:{line_of(text, key)}: {key}: {problem}")

    folder = file.absolute().parent
    found = _addresses(entry.listen, at)
    trusted = _networks(entry.gateways.trusted, "gateways.trusted", at)
    own, issuers = entry.webhooks.allowed_networks, entry.workloads.allowed_networks
    url = entry.console.url
    if url is not None and not _CONSOLE_URL.fullmatch(url):
        raise at("console.url", "must be an origin such as https://login.example.com, no path")
    mail = _mail(entry.mail, folder, at)
    database, usage_database = _databases(entry, folder, at)
    node = _node(entry.node, at)
    names = [Path(name).name for name in entry.policy]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise at("policy", f"two files are named {twice[0]}; they are published by name")
    return Config(
        file=file.absolute(),
        database=database,
        usage_database=usage_database,
        node=node,
        master_key=folder / entry.master_key,
        policy=tuple(folder / name for name in entry.policy),
        api=found["api"],
        console=found["console"],
        console_url=url,
        translations=_translations(entry.console.translations, folder, at),
        verify=found["verify"],
        trusted=trusted,
        gateway_caches=read_caches(entry.gateways, at, trust=_trust(node, database)),
        tls=None,
        webhook_networks=_networks(own, "webhooks.allowed_networks", at),
        workload_networks=_networks(issuers, "workloads.allowed_networks", at),
        mail=mail,
        audit=_audit_export(entry.audit, folder, at),
        partners=_partners(entry.leaks, folder, at),
        providers=read_providers(entry.sign_in, folder, at),
        usage=entry.usage,
        access_log=_access_log(entry.access_log, folder, at),
        log_level=entry.log_level,
    )


def _translations(
    told: str | None, folder: Path, at: Callable[[str, object], ConfigError]
) -> Path | None:
    """Find the folder of the console's catalogues; what is in it is read at the start."""
    if told is None:
        return None
    if not (folder / told).is_dir():
        raise at("console.translations", f"there is no folder {folder / told}")
    return folder / told


def _addresses(entry: ListenEntry, at: Callable[[str, object], ConfigError]) -> dict[str, Address]:
    """Read the three addresses, which must differ."""
    found: dict[str, Address] = {}
    for name in ("api", "console", "verify"):
        try:
            found[name] = parse_address(getattr(entry, name), unix=name == "verify")
        except ValueError as error:
            key = f"listen.{name}"
            raise at(key, error) from error
    fixed = [address for address in found.values() if address.port]
    if len({str(address) for address in fixed}) < len(fixed):
        raise at("listen", "api, console and verify must be three different addresses")
    return found


def _networks(
    texts: tuple[str, ...], key: str, at: Callable[[str, object], ConfigError]
) -> Networks:
    try:
        return Networks.of(texts)
    except ValueError as error:
        raise at(key, error) from error


_MAIL_PORTS = {"starttls": 587, "implicit": 465, "none": 25}
_MAILBOX = re.compile(r"[!-~]{1,64}@[A-Za-z0-9.-]{1,190}")
_HOST = re.compile(r"[A-Za-z0-9.:-]{1,253}")


def _mail(
    entry: MailEntry, folder: Path, at: Callable[[str, object], ConfigError]
) -> MailServer | None:
    """Check how e-mail is sent; None where it is not."""
    told = (entry.port, entry.username, entry.password_file, entry.sender, entry.operator, entry.ca)
    if entry.host is None:
        if any(one is not None for one in told):
            raise at("mail.host", "name the server that e-mail is handed to")
        return None
    if not _HOST.fullmatch(entry.host):
        raise at("mail.host", "must be a host name or an address")
    if entry.sender is None or not _MAILBOX.fullmatch(entry.sender):
        raise at("mail.from", "must be an e-mail address such as latchgate@example.com")
    if entry.operator is not None and not _MAILBOX.fullmatch(entry.operator):
        raise at("mail.operator", "must be an e-mail address such as keys@example.com")
    if (entry.username is None) is not (entry.password_file is None):
        raise at("mail.username", "username and password_file belong together")
    if entry.username is not None and entry.tls == "none":
        raise at("mail.tls", "a password goes over TLS only; take starttls or implicit")
    port = _MAIL_PORTS[entry.tls] if entry.port is None else entry.port
    if not 1 <= port <= _MAX_PORT:
        raise at("mail.port", f"must be from 1 to {_MAX_PORT}")
    return MailServer(
        host=entry.host,
        port=port,
        tls=entry.tls,
        username=entry.username,
        password_file=folder / entry.password_file if entry.password_file is not None else None,
        sender=entry.sender,
        operator=entry.operator,
        ca=folder / entry.ca if entry.ca is not None else None,
    )


def _audit_export(
    entry: AuditEntry, folder: Path, at: Callable[[str, object], ConfigError]
) -> AuditExport | None:
    found: dict[str, int] = {}
    for name in ("export_every", "keep"):
        text = getattr(entry, name)
        if text is not None:
            try:
                found[name] = parse_duration(text)
            except ValueError as error:
                key = f"audit.{name}"
                raise at(key, error) from error
    every, keep = found.get("export_every"), found.get("keep")
    if every is None and (entry.export_directory is not None or keep is not None):
        raise at("audit", 'nothing is exported without export_every, for example "1d"')
    if every is None:
        return None
    if not entry.export_directory:
        raise at("audit.export_directory", "must name the folder to export to")
    if every < MIN_EXPORT_SECONDS:
        raise at("audit.export_every", "must be 1m or longer")
    if keep is not None and keep < every:
        raise at("audit.keep", "must be as long as export_every, or longer")
    return AuditExport(folder / entry.export_directory, every, keep)


def _access_log(
    entry: AccessLogEntry, folder: Path, at: Callable[[str, object], ConfigError]
) -> AccessFiles | None:
    if entry.directory is None:
        if entry != AccessLogEntry():
            raise at("access_log", "nothing is written without directory")
        return None
    if not entry.directory:
        raise at("access_log.directory", "must name a folder")
    return AccessFiles(folder / entry.directory, entry.days, entry.max_megabytes << 20)


def _partners(
    entry: LeaksEntry, folder: Path, at: Callable[[str, object], ConfigError]
) -> tuple[Partner, ...]:
    """Read who may report leaks; nobody else's word, and no keys over a line that others write."""
    found: list[Partner] = []
    for one in entry.partners:
        if (one.keys_url is None) is (one.keys_file is None):
            raise at("leaks.partners", f"{one.name} needs either keys_url or keys_file")
        if one.keys_url is not None and not _KEYS_URL.fullmatch(one.keys_url):
            raise at("leaks.partners", f"keys_url of {one.name} must be an https:// URL")
        if one.name in {other.name for other in found}:
            raise at("leaks.partners", f"two partners are named {one.name}")
        file = folder / one.keys_file if one.keys_file else None
        found.append(Partner(one.name, one.keys_url, file))
    return tuple(found)


_USAGE_FILE = "latchgate-usage.db"


def _databases(
    entry: ConfigEntry, folder: Path, at: Callable[[str, object], ConfigError]
) -> tuple[Location, Location]:
    """Say where records and usage are; names of files that can't be, or are another's, are refused.

    PostgreSQL holds both in one database unless told otherwise.
    """
    found: dict[str, Location] = {}
    for name in ("database", "usage_database"):
        told = getattr(entry, name)
        if told is None:
            shared = found["database"]
            found[name] = shared if isinstance(shared, Postgres) else folder / _USAGE_FILE
            continue
        try:
            found[name] = parse_location(told, folder)
        except ValueError as error:
            raise at(name, error) from error
        if not told or not Path(told).name:
            raise at(name, "must name a file")
    if not Path(entry.master_key).name:
        raise at("master_key", "must name a file")
    files = [one.resolve() for one in found.values() if isinstance(one, Path)]
    if len(set(files)) < len(files):
        raise at("usage_database", "must be another file than database")
    if (folder / entry.master_key).resolve() in files:
        raise at("master_key", "must be another file than the databases")
    return found["database"], found["usage_database"]


def _trust(node: Node, database: Location) -> float | None:
    """Return for how long memory is believed; None beside a SQLite file, which is looked at."""
    return (node.stale or node.lease) if isinstance(database, Postgres) else None


def _node(entry: NodeEntry, at: Callable[[str, object], ConfigError]) -> Node:
    stale = entry.stale_while_unreachable
    if stale is not None and stale <= entry.lease:
        raise at("node.stale_while_unreachable", "must be longer than node.lease")
    return Node(entry.name, entry.lease, stale, entry.drain)


def _worded(file: Path, text: str, message: str) -> str:
    path = re.search(r" - at `\$\.?([^`]*)`", message)
    key = path[1] if path else ""
    unknown = re.search(r"unknown field `([^`]+)`", message)
    plain = message.partition(" - at `")[0]
    if unknown:
        key = f"{key}.{unknown[1]}" if key else unknown[1]
        plain = f"unknown key {unknown[1]!r}"
    return f"{file}:{line_of(text, key)}: {key}: {plain}"
