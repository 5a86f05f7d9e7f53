"""What `latchgate call` prints: an answer's body as it comes, or whole as one JSON value.

Rule of this file: bytes go out as they came in, but for a terminal, which takes orders from them:
there control characters are shown, and what is no text is refused.
"""

from __future__ import annotations

import base64
import codecs
import contextlib
import http.client
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from latchgate.cli.output import Failed, print_json, safe

_PIECE = 64 * 1024  # bytes


def show(answer: http.client.HTTPResponse, *, include: bool, output: Path | None) -> None:
    """Print an answer, or write its body into a file; one that breaks off ends the program."""
    if include:
        _print(iter([_head(answer).encode()]))
    if output is not None:
        _keep(answer, output)
    else:
        _print(_shown(answer) if sys.stdout.isatty() else _pieces(answer))


def _print(pieces: Iterator[bytes]) -> None:
    out = sys.stdout.buffer
    try:
        for piece in pieces:
            out.write(piece)
            out.flush()
    except BrokenPipeError:
        # Whoever read has enough. Nothing is to be flushed into the pipe at the end either.
        _close_output()
        raise SystemExit(1) from None
    except OSError as error:
        _close_output()
        raise Failed(f"standard output: {error.strerror}")


def _close_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show_json(answer: http.client.HTTPResponse) -> None:
    """Print status, headers and body as one JSON value; what is no text as base64."""
    body = b"".join(_pieces(answer))
    told: dict[str, object] = {"status": answer.status, "headers": _by_name(answer)}
    try:
        told["body"] = json.loads(body)
    except (ValueError, RecursionError):
        try:
            told["body"] = body.decode()
        except UnicodeDecodeError:
            told["base64"] = base64.b64encode(body).decode()
    print_json(told)


def _by_name(answer: http.client.HTTPResponse) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in answer.headers.items():
        known = name.lower()
        found[known] = f"{found[known]}, {value}" if known in found else value
    return found


def _head(answer: http.client.HTTPResponse) -> str:
    version = {10: "HTTP/1.0", 11: "HTTP/1.1"}.get(answer.version, "HTTP")
    lines = [f"{version} {answer.status} {answer.reason}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    return "".join(f"{safe(line)}\n" for line in [*lines, ""])


def _pieces(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    wanted = answer.length  # of the body, None where nobody said
    came = 0
    try:
        while piece := answer.read1(_PIECE):
            came += len(piece)
            yield piece
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise Failed(f"the answer broke off after {came} bytes: {error}")
    if wanted is not None and came < wanted:
        raise Failed(f"the answer broke off after {came} of {wanted} bytes")


def _shown(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    last = "\n"
    for piece in _pieces(answer):
        try:
            text = decoder.decode(piece)
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            raise Failed("the answer is no text, and standard output a terminal: take -o FILE")
        last = text[-1:] or last
        yield safe(text.replace("\r\n", "\n"), kept="\n\t").encode()
    if last != "\n":
        yield b"\n"


def _keep(answer: http.client.HTTPResponse, output: Path) -> None:
    place = Path(os.path.realpath(output))
    if place.exists() and not place.is_file():
        _fill(answer, place)  # such as /dev/null
        return
    try:
        descriptor, beside = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}-")
    except OSError as error:
        raise Failed(f"{output}: {error.strerror}")
    try:
        with os.fdopen(descriptor, "wb") as file:
            _copied(answer, file, output)
        Path(beside).chmod(_mode(place))
        Path(beside).replace(place)
    except BaseException as error:
        with contextlib.suppress(OSError):
            Path(beside).unlink()
        if isinstance(error, OSError):
            raise Failed(f"{output}: {error.strerror}; nothing was written")
        raise


def _fill(answer: http.client.HTTPResponse, place: Path) -> None:
    try:
        with place.open("wb") as file:
            _copied(answer, file, place)
    except OSError as error:
        raise Failed(f"{place}: {error.strerror}")


def _copied(answer: http.client.HTTPResponse, file: IO[bytes], output: Path) -> None:
    for piece in _pieces(answer):
        try:
            file.write(piece)
        except OSError as error:
            raise Failed(f"{output}: {error.strerror}; nothing was written")


def _mode(place: Path) -> int:
    """Return the mode that a file has, or that a new one gets."""
    if place.exists():
        return place.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
