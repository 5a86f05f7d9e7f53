"""What shows a secret in use: settings and small programs, filled in, to copy or to download.

Rule of this file: whatever is put into a text is quoted as its language reads it, so that no name,
address or secret ends a string or begins a command.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Callable, Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from latchgate.core.kinds import AnyKind
from latchgate.core.policy import Area, Policy
from latchgate.core.scope import EVERY

_AUTHORIZATION = "authorization"
# The first of these that a key may do is shown; nothing is ever deleted by trying a sample.
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH")
_BODY = "{}"
# PowerShell takes each of these for the end of a text in single quotes.
_POWERSHELL_QUOTES = "'\u2018\u2019\u201a\u201b"


@dataclass(frozen=True, slots=True)
class Sample:
    """One text that holds a secret: its title, the file that it belongs in, the text itself."""

    title: str
    file: str
    text: str

    def __repr__(self) -> str:
        return f"Sample({self.title!r})"

    @property
    def address(self) -> str:
        """The text as a `data:` link, so that a download asks nobody for the secret again."""
        return f"data:text/plain;base64,{base64.b64encode(self.text.encode()).decode()}"


@dataclass(frozen=True, slots=True)
class Call:
    """One request that a secret opens: `header` carries it, after `prefix`."""

    method: str
    url: str
    header: str
    prefix: str

    @property
    def body(self) -> str | None:
        """What is sent along, as JSON; None where the method takes nothing."""
        return _BODY if self.method in {"POST", "PUT", "PATCH"} else None


def call_of(
    policy: Policy,
    kind: AnyKind,
    services: Collection[str],
    scopes: Collection[str],
    api_url: str,
) -> Call | None:
    """Return a request that a credential of a kind may make, the least harmful of the first.

    `api_url` is where paths of no particular host are. None where no area takes it for any.
    """
    found = [
        (_METHODS.index(method), number, area, method)
        for number, area in enumerate(policy.areas)
        for method in _METHODS
        if _opens(area, method, kind, services, scopes)
    ]
    if not found:
        return None
    _, _, area, method = min(found, key=lambda one: one[:2])
    header, prefix = header_of(kind)
    return Call(method, _url(area, api_url), header, prefix)


def header_of(kind: AnyKind) -> tuple[str, str]:
    """Return the header that carries a kind's secret, and what stands before the secret in it."""
    if _AUTHORIZATION in kind.carriers:
        return "Authorization", f"{kind.scheme} "
    return "-".join(part.capitalize() for part in kind.carriers[0].split("-")), ""


def _opens(
    area: Area, method: str, kind: AnyKind, services: Collection[str], scopes: Collection[str]
) -> bool:
    if area.public or area.closed or area.application is not None:
        return False
    if kind.name not in {one.name for one in area.kinds}:
        return False
    if area.service not in services and EVERY not in services:
        return False
    rule = area.rule(method)
    return rule is not None and (rule.scope is None or rule.scope in scopes or EVERY in scopes)


def _url(area: Area, api_url: str) -> str:
    if not area.hosts:
        return f"{api_url.rstrip('/')}{area.path}"
    return f"{urlsplit(api_url).scheme or 'https'}://{area.hosts[0]}{area.path}"


def samples(secret: str, call: Call | None, *, variable: str = "API_KEY") -> tuple[Sample, ...]:
    """Return a secret in use; what makes a request only where there is one that it opens.

    `variable` is what settings call the secret.
    """
    pairs = [(variable, secret)]
    if call is not None:
        pairs.append(("API_URL", call.url))
    settings = (
        Sample(".env", ".env", _shell(pairs)),
        Sample("PowerShell", "key.ps1", _powershell(pairs, call)),
        Sample("Docker", "docker.env", _docker(pairs)),
        Sample("Docker Compose", "compose.yaml", _compose(pairs)),
    )
    if call is None:
        return settings
    return (
        *settings,
        *(Sample(title, file, made(secret, call)) for title, file, made in _PROGRAMS),
    )


def _shell(pairs: list[tuple[str, str]]) -> str:
    return "".join(f"{name}={_in_shell(text)}\n" for name, text in pairs)


def _in_shell(text: str) -> str:
    """Quote for sh, and for what else reads such files: single quotes, whether needed or not."""
    quoted = shlex.quote(text)
    return quoted if quoted.startswith("'") else f"'{quoted}'"


def _powershell(pairs: list[tuple[str, str]], call: Call | None) -> str:
    lines = [f"$env:{name} = {_in_powershell(text)}" for name, text in pairs]
    if call is not None:
        header, prefix = _in_powershell(call.header), _in_powershell(call.prefix)
        more = f" -ContentType 'application/json' -Body '{call.body}'" if call.body else ""
        lines.append(f"$headers = @{{ {header} = {prefix} + $env:{pairs[0][0]} }}")
        lines.append(
            f"Invoke-RestMethod -Method {call.method} -Uri $env:API_URL -Headers $headers{more}"
        )
    return "\n".join(lines) + "\n"


def _in_powershell(text: str) -> str:
    doubled = "".join(one * 2 if one in _POWERSHELL_QUOTES else one for one in text)
    return f"'{doubled}'"


def _docker(pairs: list[tuple[str, str]]) -> str:
    # Docker takes what follows the first = as it is, up to the line's end: quotes would be sent.
    lines = "".join(f"{name}={text}\n" for name, text in pairs)
    return f"# docker run --env-file docker.env IMAGE\n{lines}"


def _compose(pairs: list[tuple[str, str]]) -> str:
    # Compose puts variables in where it reads a single $, in texts of every style.
    lines = "".join(f"      {name}: {_json(text).replace('$', '$$')}\n" for name, text in pairs)
    return f"services:\n  app:\n    image: IMAGE\n    environment:\n{lines}"


def _json(text: str) -> str:
    """Quote as JSON does, which YAML, JavaScript, Python and Go read alike."""
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")


def _curl(secret: str, call: Call) -> str:
    # A configuration on standard input: other users of the machine see the arguments of programs.
    lines = [f"url = {_json(call.url)}", f"header = {_json(_header(secret, call))}"]
    if call.method == "HEAD":
        lines.append("head")
    elif call.method != "GET":
        lines.append(f'request = "{call.method}"')
    if call.body is not None:
        lines += ['header = "Content-Type: application/json"', f'data = "{call.body}"']
    return "curl --config - <<'END'\n" + "\n".join(lines) + "\nEND\n"


def _header(secret: str, call: Call) -> str:
    return f"{call.header}: {call.prefix}{secret}"


def _headers(secret: str, call: Call) -> list[tuple[str, str]]:
    pairs = [(call.header, call.prefix + secret)]
    return [*pairs, ("Content-Type", "application/json")] if call.body is not None else pairs


def _python(secret: str, call: Call) -> str:
    headers = ", ".join(f"{_json(name)}: {_json(text)}" for name, text in _headers(secret, call))
    data = f'    data=b"{call.body}",\n' if call.body is not None else ""
    return (
        "import urllib.request\n\n"
        "request = urllib.request.Request(\n"
        f"    {_json(call.url)},\n"
        f'    method="{call.method}",\n'
        f"    headers={{{headers}}},\n"
        f"{data})\n"
        "with urllib.request.urlopen(request) as answer:\n"
        "    print(answer.status, answer.read().decode())\n"
    )


def _javascript(secret: str, call: Call) -> str:
    headers = ", ".join(f"{_json(name)}: {_json(text)}" for name, text in _headers(secret, call))
    body = f"  body: {_json(call.body)},\n" if call.body is not None else ""
    return (
        f"const answer = await fetch({_json(call.url)}, {{\n"
        f'  method: "{call.method}",\n'
        f"  headers: {{ {headers} }},\n"
        f"{body}}});\n"
        "console.log(answer.status, await answer.text());\n"
    )


def _php(secret: str, call: Call) -> str:
    headers = ", ".join(_in_php(f"{name}: {text}") for name, text in _headers(secret, call))
    body = f"    'content' => '{call.body}',\n" if call.body is not None else ""
    return (
        "<?php\n"
        "$context = stream_context_create(['http' => [\n"
        f"    'method' => '{call.method}',\n"
        f"    'header' => [{headers}],\n"
        f"{body}"
        "    'ignore_errors' => true,\n"
        "]]);\n"
        f"$answer = file_get_contents({_in_php(call.url)}, false, $context);\n"
        "echo $http_response_header[0], PHP_EOL, $answer, PHP_EOL;\n"
    )


def _in_php(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _go(secret: str, call: Call) -> str:
    body = f"strings.NewReader({_json(call.body)})" if call.body is not None else "nil"
    imports = ["fmt", "io", "log", "net/http", *(["strings"] if call.body is not None else [])]
    listed = "".join(f'\t"{name}"\n' for name in imports)
    headers = "".join(
        f"\trequest.Header.Set({_json(name)}, {_json(text)})\n"
        for name, text in _headers(secret, call)
    )
    return (
        f"package main\n\nimport (\n{listed})\n\n"
        "func main() {\n"
        f'\trequest, err := http.NewRequest("{call.method}", {_json(call.url)}, {body})\n'
        "\tif err != nil {\n\t\tlog.Fatal(err)\n\t}\n"
        f"{headers}"
        "\tanswer, err := http.DefaultClient.Do(request)\n"
        "\tif err != nil {\n\t\tlog.Fatal(err)\n\t}\n"
        "\tdefer answer.Body.Close()\n"
        "\ttext, err := io.ReadAll(answer.Body)\n"
        "\tif err != nil {\n\t\tlog.Fatal(err)\n\t}\n"
        "\tfmt.Println(answer.Status, string(text))\n"
        "}\n"
    )


_PROGRAMS: tuple[tuple[str, str, Callable[[str, Call], str]], ...] = (
    ("curl", "request.sh", _curl),
    ("Python", "request.py", _python),
    ("JavaScript", "request.mjs", _javascript),
    ("PHP", "request.php", _php),
    ("Go", "main.go", _go),
)
