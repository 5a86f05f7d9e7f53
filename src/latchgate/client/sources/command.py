"""A command that prints a credential, so that any vault or password manager is a source.

Rule of this file: a command comes from an argument, a profile or the environment, never from a file
in the working directory. No shell reads it; its input is empty; it has a time limit; what it says
on standard error is told where it fails, masked.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from latchgate.client.errors import CredentialInvalid, SourceUnreadable
from latchgate.client.secret import MASK
from latchgate.client.sources.answer import answered
from latchgate.client.sources.source import Found, Lacking, Wanted

VARIABLE = "LATCHGATE_CREDENTIAL_COMMAND"
CLOUD = "LATCHGATE_CREDENTIAL_CLOUD"
_PLACE = "{cloud}"
_TOLD = 500  # characters of standard error that an error repeats
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASS|KEY|CREDENTIAL|AUTH", re.IGNORECASE)
_WORDS = re.compile(r"[\s\"',:{}]+")
# A long word of letters and digits is more likely to be a key than anything else.
_KEY_LIKE = re.compile(r"(?=[\w+=-]*[0-9])(?=[\w+=-]*[A-Za-z])[\w+=-]{12,}")
_ASSIGNED = re.compile(r"(?i)((?:pass\w*|secret|token|key|credential)\s*[:=]\s*)\S+")


class Command:
    """A command line, as a list or as sh would split it; without one, the environment's.

    `{cloud}` in it stands for the cloud's name in lower case, which the command also finds in
    `LATCHGATE_CREDENTIAL_CLOUD`. `known` are fields that are no secret and belong to what it
    prints, such as a user's name; `timeout` is seconds.
    """

    def __init__(
        self,
        command: str | Sequence[str] | None = None,
        *,
        known: Mapping[str, str] | None = None,
        timeout: float = 60.0,
    ) -> None:
        """Take a command; raises CredentialInvalid for an empty one, or quotes that don't close."""
        self._command = None if command is None else _split(command, "the command")
        self._known = dict(known or {})
        self._timeout = timeout

    def look(self, wanted: Wanted) -> Found | Lacking:
        """Run it.

        Raises: SourceUnreadable where it fails, takes too long or says what is no credential;
        CredentialInvalid where that contradicts itself.
        """
        command, whose = self._command, True
        if command is None:
            told = os.environ.get(VARIABLE)
            if not told:
                return Lacking("command", f"{VARIABLE} not set")
            command = _split(told, VARIABLE)
            # Whichever cloud finds nothing elsewhere comes here: no cloud gets another's secret.
            whose = _names(command, wanted.entry)
        words = [word.replace(_PLACE, wanted.entry) for word in command]
        where = f"command {Path(words[0]).name}"
        text = self._printed(words, where, wanted.entry)
        return answered(text, wanted, where=where, known=self._known, whose=whose)

    def __repr__(self) -> str:
        # Arguments may hold secrets.
        return "Command()" if self._command is None else f"Command({self._command[0]!r}, …)"

    def _printed(self, words: Sequence[str], where: str, cloud: str) -> str:
        environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
        ended = _run(words, {**environment, CLOUD: cloud}, self._timeout)
        if isinstance(ended, str):
            msg = f"{where} {ended}"
            raise SourceUnreadable(msg)
        if ended.status != 0:
            printed = [*ended.output.splitlines(), *_WORDS.split(ended.output)]
            said = _masked(ended.error, [*printed, *_secret_values(environment)])
            how = f"ended with {ended.status}" if ended.status > 0 else "was killed"
            msg = f"{where} {how}" + (f": {said}" if said else ", and said nothing")
            raise SourceUnreadable(msg)
        return ended.output


class _Ended(NamedTuple):
    status: int
    output: str
    error: str


def _run(words: Sequence[str], environment: Mapping[str, str], timeout: float) -> _Ended | str:
    """Return how a command ended, or why it didn't."""
    try:
        process = subprocess.Popen(  # noqa: S603 - what the user named, without a shell
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
    except FileNotFoundError:
        return "is not there: no such program"
    except (OSError, ValueError) as error:
        return f"can't be run ({type(error).__name__})"
    with process:
        try:
            output, said = process.communicate(timeout=timeout)
        except BaseException as error:
            # What it started may outlive it and hold the pipes open; nobody waits for that.
            process.kill()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
            if isinstance(error, subprocess.TimeoutExpired):
                return f"took longer than {timeout:g} s and was ended"
            raise
    try:
        return _Ended(process.returncode, output.decode(), said.decode(errors="replace"))
    except UnicodeDecodeError:
        return "says what is not UTF-8"


def _split(command: str | Sequence[str], where: str) -> tuple[str, ...]:
    try:
        words = shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError:
        words = []
    if not words or not words[0]:
        msg = f"{where} is no command line: it is empty, or a quote is not closed"
        raise CredentialInvalid(msg)
    return tuple(words)


def _names(words: Sequence[str], cloud: str) -> bool:
    """Whether a command line says which cloud's secret it prints; our own name is no cloud then."""
    program = Path(words[0]).name.lower()
    said = [*(word.lower() for word in words[1:]), "" if program == "latchgate" else program]
    return any(cloud in word or _PLACE in word for word in said)


def _secret_values(environment: Mapping[str, str]) -> Iterable[str]:
    return (value for name, value in environment.items() if _SECRET_NAME.search(name))


def _masked(text: str, secrets: Iterable[str]) -> str:
    """Return the end of what a command said, in one line, without what may be a secret."""
    for secret in sorted({one for one in secrets if len(one) > 2}, key=len, reverse=True):  # noqa: PLR2004 - shorter ones would mask whatever is said
        text = text.replace(secret, MASK)
    text = _KEY_LIKE.sub(MASK, _ASSIGNED.sub(rf"\1{MASK}", text))
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= _TOLD else f"…{line[-_TOLD:]}"
