"""Access rules: which requests a credential may make at all, whatever its roles allow.

Source: Keystone v3, "Application credentials", access rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from latchgate.core.model import AccessRule

_WILD = re.compile(r"\*\*|\*|\{[^/{}]*\}")


def permits(rules: Iterable[AccessRule], service: str | None, method: str, path: str) -> bool:
    """Whether one of the rules names this very request; HEAD is not GET."""
    return any(
        rule.service == service
        and rule.method == method
        and _pattern(rule.path).fullmatch(path) is not None
        for rule in rules
    )


@lru_cache(maxsize=1_024)
def _pattern(path: str) -> re.Pattern[str]:
    """Compile a rule's path: `*` and `{name}` are one segment or a part of it, `**` any number."""
    parts, last = [], 0
    for wild in _WILD.finditer(path):
        parts += [re.escape(path[last : wild.start()]), ".*" if wild[0] == "**" else "[^/]+"]
        last = wild.end()
    return re.compile("".join(parts) + re.escape(path[last:]))
