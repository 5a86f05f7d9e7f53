"""What `latchgate scan` reads: files, standard input, a repository's index and its whole history.

Rule of this file: bytes go by in windows of bounded size, so that a file of any size can be
scanned, and windows overlap, so that a secret across a border is found. No link is followed.
"""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from latchgate.core.leaks import OVERLAP, Finder, Finding, cut, is_allowed

WINDOW = 4_194_304
_GITLINK = b"160000"
_SAID = 4_096  # bytes of what git says that are shown
_ASKED = 200  # objects that git looks for at a time
_RAW_FIELDS = 5  # of a line of `git diff --raw`: two modes, two ids, what happened


class Readable(Protocol):
    """Bytes to read: all that is asked of a file."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        ...


class GitError(Exception):
    """Git could not do what was asked; says what it said."""


@dataclass(frozen=True, slots=True)
class Source:
    """Something to read: a file's name, and the commit and object where git has it."""

    path: str
    content: Readable
    commit: str | None = None
    object: str | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A finding and where it is; line and column count from 1, the column in bytes."""

    finding: Finding
    path: str
    line: int
    column: int
    commit: str | None = None
    object: str | None = None


def hits(finder: Finder, source: Source) -> Iterator[Hit]:
    """Yield what is found in a source, but on lines that say it is meant to be there."""
    window, begin, lines, last = b"", 0, 0, False
    while not last:
        chunk = source.content.read(WINDOW)
        last = not chunk
        window += chunk
        end = len(window) if last else len(window) - OVERLAP
        if end <= begin and not last:
            continue
        line, counted = lines + 1, 0
        for one in finder.find(window):
            # From one to the next: a file may hold very many.
            line += window.count(b"\n", counted, one.start)
            counted = one.start
            if begin <= one.start < end and not is_allowed(window, one):
                column = one.start - window.rfind(b"\n", 0, one.start)
                yield Hit(one, source.path, line, column, source.commit, source.object)
        kept = cut(window, max(end - OVERLAP, 0))
        lines += window.count(b"\n", 0, kept)
        begin, window = end - kept, window[kept:]


def files(paths: list[Path], unread: list[str]) -> Iterator[Source]:
    """Yield the files at and below paths, without git's own; those that can't be read are noted."""
    for path in paths:
        if path.is_dir():
            yield from _below(path, unread)
        else:
            yield from _file(path, unread)


def _below(folder: Path, unread: list[str]) -> Iterator[Source]:
    waiting = [(folder, True)]  # not by recursion: folders may be nested deeper than that goes
    while waiting:
        path, is_folder = waiting.pop()
        if not is_folder:
            yield from _file(path, unread)
            continue
        found: list[tuple[Path, bool]] = []
        try:
            for entry in os.scandir(path):
                if entry.name == ".git" or entry.is_symlink():
                    continue
                kept = entry.is_dir(follow_symlinks=False)
                if kept or entry.is_file(follow_symlinks=False):
                    found.append((Path(entry.path), kept))
        except OSError as error:
            unread.append(f"{named(path)}: {error.strerror}")
        waiting += sorted(found, reverse=True)


def _file(path: Path, unread: list[str]) -> Iterator[Source]:
    try:
        # Without waiting: somebody may have put a pipe in a file's place.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                unread.append(f"{named(path)}: not a file")
                return
            yield Source(named(path), file)
    except OSError as error:
        unread.append(f"{named(path)}: {error.strerror}")


def named(path: Path | bytes) -> str:
    """Return a file's name as text; what is no UTF-8 in it is replaced."""
    return os.fsencode(path).decode("utf-8", "replace")


def staged(folder: Path) -> Iterator[Source]:
    """Yield what the next commit would bring, as it is in git's index."""
    _git(folder, "rev-parse", "--git-dir")  # else `diff` takes its options for another's
    told = _git(
        folder, "diff", "--cached", "--raw", "-z", "--no-abbrev", "--no-renames", "--diff-filter=d"
    )
    fields = told.split(b"\0")
    names: dict[bytes, bytes] = {}
    for meta, path in zip(fields[::2], fields[1::2], strict=False):
        parts = meta.split()
        if len(parts) == _RAW_FIELDS and parts[1] != _GITLINK:
            names.setdefault(parts[3], path)
    if not names:
        return
    asked = b"".join(one + b"\n" for one in names)
    for name, _, content in _objects(folder, "--batch", asked=asked):
        yield Source(named(names[name]), content)


def history(folder: Path) -> Iterator[Source]:
    """Yield every file's content and message that a repository has, each once."""
    listed = ("--batch-all-objects", "--unordered", "--buffer", "--batch")
    for name, sort, content in _objects(folder, *listed):
        if sort != b"tree":
            text = name.decode()
            path = "" if sort == b"blob" else f"({sort.decode()} message)"
            commit = text if sort == b"commit" else None
            yield Source(path, content, commit, text)


def origins(folder: Path, names: list[str]) -> dict[str, tuple[str | None, str]]:
    """Return the first commit that has each object and its path there; no commit when none has."""
    found: dict[str, tuple[str | None, str]] = {}
    for at in range(0, len(names), _ASKED):
        asked = names[at : at + _ASKED]
        told = _git(
            folder,
            *("log", "--all", "--reverse", "-m", "--raw", "-z", "--no-abbrev", "--no-renames"),
            *("--root", "--format=%x01%H", *(f"--find-object={name}" for name in asked)),
        )
        for name, where in _changes(told):
            found.setdefault(name, where)
    lost = {name: (None, f"(object {name}, in no commit)") for name in names if name not in found}
    return found | lost


def _changes(log: bytes) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the objects that came in: each with its commit and path, in the order of a log."""
    commit = ""
    fields = iter(log.split(b"\0"))
    for part in fields:
        text = part.strip(b"\n")
        if text.startswith(b"\x01"):
            commit, text = text[1:].decode("ascii"), b""
        if text.startswith(b":"):
            path = next(fields, b"")
            yield text.split()[3].decode("ascii"), (commit, named(path))


class _Limited:
    """So many bytes of a stream, as a file of their own."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self._left = size

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes of what is left."""
        wanted = min(size, self._left)
        chunk = self._stream.read(wanted) if wanted else b""
        if len(chunk) < wanted:
            raise GitError("git ended before an object did")
        self._left -= len(chunk)
        return chunk

    def skip(self) -> None:
        """Read what nobody read, and the line break behind it."""
        while self._left:
            self.read(WINDOW)
        self._stream.read(1)


def _objects(
    folder: Path, *options: str, asked: bytes = b""
) -> Iterator[tuple[bytes, bytes, Readable]]:
    """Yield objects: name, type and content, which must be read before the next is asked for."""
    # What it says goes to a file: in a pipe that nobody reads meanwhile, git would wait for ever.
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(  # noqa: S603 - arguments of our own, no shell
                ["git", "-C", str(folder), "cat-file", *options],  # noqa: S607 - wherever PATH says
                stdin=subprocess.PIPE if asked else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
            )
        except OSError as error:
            raise GitError(f"git can't be run: {error.strerror}") from error
        assert process.stdout is not None  # noqa: S101 - asked for above
        with suppress(BrokenPipeError), process:
            yield from _fed(process, asked) if asked else _read_objects(process.stdout)
        if process.returncode:
            said.seek(0)
            words = said.read(_SAID).decode("utf-8", "replace").strip()
            raise GitError(words or f"git cat-file ended with {process.returncode}")


def _fed(process: subprocess.Popen[bytes], asked: bytes) -> Iterator[tuple[bytes, bytes, Readable]]:
    """Ask for one object after the other, so that neither side waits for the other to read."""
    assert process.stdin is not None  # noqa: S101 - the caller looked
    assert process.stdout is not None  # noqa: S101 - the caller asked for it
    for name in asked.splitlines(keepends=True):
        process.stdin.write(name)
        process.stdin.flush()
        yield from _one_object(process.stdout)
    process.stdin.close()


def _read_objects(stream: IO[bytes]) -> Iterator[tuple[bytes, bytes, Readable]]:
    while True:
        before = False
        for one in _one_object(stream):
            before = True
            yield one
        if not before:
            return


def _one_object(stream: IO[bytes]) -> Iterator[tuple[bytes, bytes, Readable]]:
    head = stream.readline().split()
    if not head:
        return
    if len(head) != 3:  # noqa: PLR2004 - name, type, size
        raise GitError(b" ".join(head).decode("utf-8", "replace"))
    content = _Limited(stream, int(head[2]))
    yield head[0], head[1], content
    content.skip()


def _git(folder: Path, *arguments: str) -> bytes:
    """Run git and return what it printed; GitError says what it said."""
    try:
        done = subprocess.run(  # noqa: S603 - arguments of our own, no shell
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - git is wherever PATH says
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise GitError(f"git can't be run: {error.strerror}") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise GitError(said or f"git ended with {done.returncode}")
    return done.stdout


HOOK = """\
#!/bin/sh
# Made by latchgate scan --install-hook: no commit with one of our keys in it.
exec latchgate scan --staged
"""


def install_hook(folder: Path) -> Path:
    """Write the hook that runs before a commit and return its path.

    GitError where there is no repository, or another hook.
    """
    told = _git(folder, "rev-parse", "--git-path", "hooks/pre-commit")
    path = folder / os.fsdecode(told.rstrip(b"\n"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755)
    except FileExistsError:
        if path.read_bytes() == HOOK.encode():
            return path
        msg = f"{named(path)} is there already; add to it: latchgate scan --staged"
        raise GitError(msg) from None
    except OSError as error:
        raise GitError(f"{named(path)}: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(HOOK)
    return path
