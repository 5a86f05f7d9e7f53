"""Variables as each reader of them takes them: shells, `.env` files, Docker, Compose.

Rule of this file: whatever a value holds, it ends no text and begins no command. What a form can't
say, or what its readers would read differently, is refused by the variable's name.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping

Pairs = Iterable[tuple[str, str]]

# PowerShell takes each of these for the end of a text in single quotes.
_POWERSHELL_QUOTES = "'\u2018\u2019\u201a\u201b"
# Taken as they are by sh, node, Compose and python-dotenv alike.
_BARE = re.compile(r"[A-Za-z0-9_./:@%+,=-]+")
_SINGLE = re.compile(r"[^'\\\r\n\0]*")
_DOUBLE = re.compile(r"[^\"\\$`\r\n\0]*")


class QuotingError(ValueError):
    """A value that a form can't say; the text names the variable, never the value."""


def sh(pairs: Pairs, unset: Iterable[str] = ()) -> str:
    """Return what `eval` in sh, bash or zsh sets; single quotes take all but themselves."""
    lines = [f"unset {' '.join(sorted(unset))}\n"] if unset else []
    for name, value in pairs:
        _no_nul(name, value)
        lines.append(f"export {name}={shlex.quote(value)}\n")
    return "".join(lines)


def powershell(pairs: Pairs, unset: Iterable[str] = ()) -> str:
    """Return what `Invoke-Expression` sets; a quote is doubled, whichever of its forms it has."""
    lines = [f"Remove-Item Env:{name} -ErrorAction SilentlyContinue\n" for name in sorted(unset)]
    for name, value in pairs:
        _no_nul(name, value)
        doubled = "".join(one * 2 if one in _POWERSHELL_QUOTES else one for one in value)
        lines.append(f"$env:{name} = '{doubled}'\n")
    return "".join(lines)


def dotenv(pairs: Pairs, _unset: Iterable[str] = ()) -> str:
    """Return a `.env` that sh, node, Compose, python-dotenv and `latchgate.client` read alike."""
    return "".join(f"{name}={_dotenv(name, value)}\n" for name, value in pairs)


def docker(pairs: Pairs, _unset: Iterable[str] = ()) -> str:
    """Return a file for `docker run --env-file`, which takes a line as it is, quotes too."""
    lines = []
    for name, value in pairs:
        _no_nul(name, value)
        if "\n" in value or "\r" in value:
            msg = f"{name}: a file for docker holds one line a variable, and its value has several"
            raise QuotingError(msg)
        lines.append(f"{name}={value}\n")
    return "".join(lines)


def compose(pairs: Pairs, _unset: Iterable[str] = (), *, service: str = "app") -> str:
    """Return a file for `docker compose -f`, which puts variables in where it reads one `$`."""
    lines = [f"services:\n  {_yaml(service)}:\n    environment:\n"]
    for name, value in pairs:
        _no_nul(name, value)
        lines.append(f"      {name}: {_yaml(value.replace('$', '$$'))}\n")
    return "".join(lines)


SHELLS: Mapping[str, Callable[[Pairs, Iterable[str]], str]] = {
    "sh": sh,
    "powershell": powershell,
    "dotenv": dotenv,
    "docker": docker,
    "compose": compose,
}


def _dotenv(name: str, value: str) -> str:
    _no_nul(name, value)
    if _BARE.fullmatch(value):
        return value
    # python-dotenv and Compose put variables in at ${, python-dotenv in single quotes as well.
    if _SINGLE.fullmatch(value) and "${" not in value:
        return f"'{value}'"
    if _DOUBLE.fullmatch(value):
        return f'"{value}"'
    msg = (
        f"{name}: its value holds characters that readers of .env take differently; take --shell sh"
    )
    raise QuotingError(msg)


def _yaml(text: str) -> str:
    """Quote for YAML: double quotes, and an escape for what YAML might take for a line's end."""
    return '"' + "".join(_escaped(one) for one in text) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    return f"\\U{ord(char):08x}"


def _no_nul(name: str, value: str) -> None:
    if "\0" in value:
        msg = f"{name}: no variable holds a NUL"
        raise QuotingError(msg)
    try:
        value.encode()
    except UnicodeEncodeError:
        msg = f"{name}: its value is no UTF-8 text"
        raise QuotingError(msg) from None
