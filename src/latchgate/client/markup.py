"""XML as the members that JSON would have had, for servers that answer so.

Rule of this file: no entities. A document that declares its type is refused before anything of it
is read, so nothing can be expanded or fetched; depth, size and number of elements are bounded.
"""

from __future__ import annotations

from typing import Any

_DEEPEST = 8
_ELEMENTS = 500
_LARGEST = 64 * 1024  # bytes

Members = dict[str, Any]


def members(body: bytes) -> Members | None:
    """Return an XML document as `{root: members}`, or None for what is none or is unsafe.

    An element with others in it becomes a dict, one with text alone a str, one that comes twice a
    list. Namespaces and attributes are left out.
    """
    if len(body) > _LARGEST:
        return None
    # Loaded when it is needed: few programs ever see such an answer.
    from xml.parsers import expat  # noqa: PLC0415

    tree = _Tree()
    # The document's own word for its encoding does not count.
    parser = expat.ParserCreate("utf-8", namespace_separator=" ")
    parser.StartDoctypeDeclHandler = tree.refuse
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.text
    try:
        parser.Parse(body, True)  # noqa: FBT003 - expat's own
    except (expat.ExpatError, _UnsafeError, ValueError):
        return None
    return tree.root


class _UnsafeError(Exception):
    """A document that is not read on."""


class _Tree:
    """What was read: the open elements with their members and texts."""

    def __init__(self) -> None:
        self.root: Members = {}
        self._open: list[tuple[str, Members, list[str]]] = []
        self._seen = 0

    def refuse(self, *_: object) -> None:
        raise _UnsafeError

    def start(self, name: str, _attributes: object) -> None:
        self._seen += 1
        if len(self._open) >= _DEEPEST or self._seen > _ELEMENTS:
            raise _UnsafeError
        self._open.append((name.rpartition(" ")[2], {}, []))

    def text(self, text: str) -> None:
        self._open[-1][2].append(text)

    def end(self, _name: str) -> None:
        name, inside, texts = self._open.pop()
        value: object = inside or "".join(texts).strip()
        around = self._open[-1][1] if self._open else self.root
        if name not in around:
            around[name] = value
        elif isinstance(around[name], list):
            around[name].append(value)
        else:
            around[name] = [around[name], value]
