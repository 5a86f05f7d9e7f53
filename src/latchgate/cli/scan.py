"""`latchgate scan`: find our keys in files, git and logs. Needs no server and no configuration."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from latchgate.cli.output import Failed, json_option, one_line, print_json

if TYPE_CHECKING:
    from latchgate.cli.sources import Hit, Source
    from latchgate.core.kinds import LeakShape

_FORMATS = ("text", "json", "jsonl", "sarif")
_BATCH = 500  # digests of one lookup
_EVERY = 0.2  # seconds between two lines of progress


@click.command()
@click.argument("paths", nargs=-1, metavar="PATH…")
@click.option("--git-history", is_flag=True, help="Every version of every file that git has.")
@click.option("--staged", is_flag=True, help="What the next commit would bring.")
@click.option(
    "--grade",
    type=click.Choice(["certain", "likely"]),
    default="likely",
    show_default=True,
    help="certain: only what a checksum, or the server, proves.",
)
@click.option("--format", "shape", type=click.Choice(_FORMATS), default="text", show_default=True)
@click.option(
    "--baseline",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file of fingerprints that are known and left out.",
)
@click.option(
    "--write-baseline",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the fingerprints of what is found to this file.",
)
@click.option(
    "--policy",
    "policies",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Policy files to take brands and prefixes from, instead of those shipped. Repeatable.",
)
@click.option("--check", is_flag=True, help="Ask the server of the profile what it knows.")
@click.option("--rules", type=click.Choice(["gitleaks"]), help="Print rules for another scanner.")
@click.option("--install-hook", is_flag=True, help="Have git scan before each commit.")
@json_option
def scan(  # noqa: PLR0913 - options of one verb
    *,
    paths: tuple[str, ...],
    git_history: bool,
    staged: bool,
    grade: str,
    shape: str,
    baseline: Path | None,
    write_baseline: Path | None,
    policies: tuple[Path, ...],
    check: bool,
    rules: str | None,
    install_hook: bool,
    as_json: bool,
) -> None:
    """Find keys in files and folders, or in standard input (-).

    Exit status 0: none found, 1: some found, 2: something could not be read. A line with
    latchgate:allow in it is left out. No secret is printed.
    """
    from latchgate.core.scan_rules import gitleaks

    known = _known(policies)
    if rules is not None:
        click.echo(gitleaks(known), nl=False)
        return
    if sum((git_history, staged, install_hook)) > 1 or (staged and paths):
        raise click.UsageError("--staged, --git-history and --install-hook go without another")
    if install_hook:
        _install(paths)
        return
    unread: list[str] = []
    found = _found(known, paths, unread, history=git_history, staged=staged)
    told = _checked(found) if check else [_told(one, None) for one in found]
    told = [one for one in told if grade == "likely" or one["grade"] == "certain"]
    ignored = _read_baseline(baseline)
    if write_baseline is not None:
        _write_baseline(write_baseline, told)
    told = [one for one in told if one["fingerprint"] not in ignored]
    _print(told, unread, "json" if as_json else shape)
    for line in unread:
        click.echo(f"latchgate: {one_line(line)}", err=True)
    if told and write_baseline is None:
        raise SystemExit(1)
    if unread:
        raise SystemExit(2)


def _known(policies: tuple[Path, ...]) -> dict[str, LeakShape]:
    """Return what secrets look like by policy files: those named, else those shipped."""
    from latchgate import providers
    from latchgate.core.leaks import shapes
    from latchgate.core.policy_faults import PolicyError
    from latchgate.core.policy_file import with_built_in

    try:
        texts = {file.name: file.read_text("utf-8") for file in policies} or {
            f"{name}.toml": providers.text(f"{name}.toml") for name in providers.SHIPPED
        }
        built_in = providers.text(providers.BUILT_IN)
        return shapes(with_built_in(texts, built_in, version=1).kinds)
    except OSError as error:
        raise Failed(f"{error.filename}: {error.strerror}", code=2)
    except (PolicyError, UnicodeDecodeError) as error:
        raise Failed(f"the policy files can't be used\n{error}", code=2)


class _git_faults:  # noqa: N801 - a context, read like a function
    """Turns what git could not do into words and exit status 2."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        from latchgate.cli.sources import GitError

        if isinstance(error, GitError):
            raise Failed(str(error), code=2)


def _folder(paths: tuple[str, ...]) -> Path:
    if len(paths) > 1:
        raise click.UsageError("name one repository")
    return Path(paths[0]) if paths else Path()


def _install(paths: tuple[str, ...]) -> None:
    from latchgate.cli.sources import install_hook, named

    with _git_faults():
        path = install_hook(_folder(paths))
    click.echo(f"{one_line(named(path))} scans before each commit from now on.")


def _sources(
    paths: tuple[str, ...], unread: list[str], *, history: bool, staged: bool
) -> Iterator[Source]:
    from latchgate.cli import sources

    if history:
        yield from sources.history(_folder(paths))
        return
    if staged:
        yield from sources.staged(Path())
        return
    if not paths:
        raise click.UsageError("name a file or folder, or - for standard input")
    for path in paths:
        if path == "-":
            yield sources.Source("-", sys.stdin.buffer)
        else:
            yield from sources.files([Path(path)], unread)


def _found(
    known: dict[str, LeakShape],
    paths: tuple[str, ...],
    unread: list[str],
    *,
    history: bool,
    staged: bool,
) -> list[Hit]:
    from latchgate.cli.sources import hits
    from latchgate.core.leaks import Finder

    finder = Finder(known)
    found: list[Hit] = []
    show = _progress()
    with _git_faults():
        read = _sources(paths, unread, history=history, staged=staged)
        for count, source in enumerate(read, 1):
            try:
                found.extend(hits(finder, source))  # those before a fault stay
            except OSError as error:
                unread.append(f"{source.path}: {error.strerror}")
            show(count, len(found))
        show(0, 0)
        return _traced(found, _folder(paths)) if history else found


def _progress() -> Callable[[int, int], None]:
    """Return what tells a person at a terminal how far it is; for everybody else nothing."""
    last = time.monotonic()

    def show(count: int, found: int) -> None:
        nonlocal last
        now = time.monotonic()
        if count == 0:
            click.echo("\r\x1b[K", nl=False, err=True)
        elif now - last >= _EVERY:
            last = now
            click.echo(f"\r\x1b[K{count} read, {found} found", nl=False, err=True)

    return show if sys.stderr.isatty() else lambda _count, _found: None


def _traced(found: list[Hit], folder: Path) -> list[Hit]:
    """Say in which commit and under which path each object came in."""
    from dataclasses import replace

    from latchgate.cli.sources import origins

    lost = dict.fromkeys(one.object for one in found if one.object is not None and not one.path)
    known = origins(folder, list(lost))
    traced = [
        replace(one, commit=known[one.object][0], path=known[one.object][1])
        if one.object is not None and not one.path
        else one
        for one in found
    ]
    return sorted(traced, key=lambda one: (one.path, one.line, one.column, one.commit or ""))


def _told(hit: Hit, known: dict[str, Any] | None) -> dict[str, Any]:
    found = hit.finding
    return {
        "path": hit.path,
        "line": hit.line,
        "column": hit.column,
        "commit": hit.commit,
        "kind": found.kind,
        "grade": "certain" if known is not None else str(found.grade),
        "form": found.form,
        "id": found.id,
        "masked": found.masked,
        "fingerprint": found.fingerprint,
        "known": known,
    }


def _checked(found: list[Hit]) -> list[dict[str, Any]]:
    """Ask the server which digests it knows; no secret is sent."""
    from latchgate.cli.api import call

    asked = dict.fromkeys(pair for one in found for pair in _digests(one))
    known: dict[tuple[str, str], dict[str, Any]] = {}
    rest = iter(asked)
    while batch := list(itertools.islice(rest, _BATCH)):
        body = {"digests": [{"kind": kind, "digest": digest} for kind, digest in batch]}
        for one in call("POST", "/manage/v1/leaks/lookup", "known", json=body)["known"]:
            known[one["kind"], one["digest"]] = {
                name: value for name, value in one.items() if name not in {"kind", "digest"}
            }
    answers = ((one, (known[pair] for pair in _digests(one) if pair in known)) for one in found)
    return [_told(one, next(told, None)) for one, told in answers]


def _digests(hit: Hit) -> list[tuple[str, str]]:
    """Return what a finding may be stored as: its kind with each digest, as they are asked for.

    Those of imported hashes say before a colon which hash it was.
    """
    found = hit.finding
    others = [one.split(b":", 1) for one in found.others]
    told = [found.digest.hex(), *(f"{word.decode()}:{raw.hex()}" for word, raw in others)]
    return [(found.kind, one) for one in told]


def _read_baseline(file: Path | None) -> frozenset[str]:
    """Read a baseline: a fingerprint a line, `#` before a remark."""
    if file is None:
        return frozenset()
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"{file}: can't be read ({error})", code=2)
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return frozenset(line for line in lines if line)


def _write_baseline(file: Path, told: list[dict[str, Any]]) -> None:
    lines = {
        one["fingerprint"]: f"{one['fingerprint']}  # {one['kind']} {_where(one)}" for one in told
    }
    head = "# Fingerprints that latchgate scan --baseline leaves out; no secret is in them."
    try:
        file.write_text("\n".join([head, *lines.values(), ""]), "utf-8")
    except OSError as error:
        raise Failed(f"{file}: {error.strerror}", code=2)


def _where(one: dict[str, Any]) -> str:
    commit = f"{one['commit'][:12]}:" if one["commit"] else ""
    return one_line(f"{commit}{one['path']}:{one['line']}:{one['column']}")


def _print(told: list[dict[str, Any]], unread: list[str], shape: str) -> None:
    import msgspec

    if shape == "json":
        print_json({"findings": told, "unread": unread})
    elif shape == "jsonl":
        for one in told:
            click.echo(msgspec.json.encode(one).decode())
    elif shape == "sarif":
        print_json(_sarif(told))
    else:
        for one in told:
            known = one["known"]
            more = f"  {known['credential_id']} {known['state']}" if known is not None else ""
            form = "" if one["form"] == "plain" else f" in {one['form']}"
            line = f"{_where(one)}: {one['grade']} {one['kind']}{form} {one['masked']}{more}"
            click.echo(f"{line}  {one['fingerprint']}")


def _sarif(told: list[dict[str, Any]]) -> dict[str, Any]:
    """Return findings as SARIF 2.1.0 (OASIS)."""
    from latchgate import __version__

    kinds = sorted({one["kind"] for one in told})
    driver = {
        "name": "latchgate scan",
        "version": __version__,
        "rules": [{"id": kind, "shortDescription": {"text": f"A leaked {kind}"}} for kind in kinds],
    }
    results = [
        {
            "ruleId": one["kind"],
            "ruleIndex": kinds.index(one["kind"]),
            "level": "error" if one["grade"] == "certain" else "warning",
            "message": {"text": f"{one['grade']}: {one['masked']}"},
            "partialFingerprints": {"latchgate/1": one["fingerprint"]},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": _uri(one["path"])},
                        "region": {"startLine": one["line"], "startColumn": one["column"]},
                    }
                }
            ],
        }
        for one in told
    ]
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }


def _uri(path: str) -> str:
    from urllib.parse import quote

    return quote(path)
