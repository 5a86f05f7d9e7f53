"""Checking a folder of exported segments, without any database.

Rule of this file: every fault names the file it is in. What a folder can't show by itself is that
its first or last segments are gone: a head that was kept elsewhere shows both.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import msgspec

from latchgate.manage.audit import Head
from latchgate.manage.chain import Check, HeadError, Lines, Report, check_head
from latchgate.manage.segments import Name, names, read_head
from latchgate.store.journal import GENESIS

_LINE = 16_777_216


class Checked(msgspec.Struct, frozen=True):
    """What was found in a folder: its segments, where they begin, who signed them, all faults."""

    segments: int
    begins: int | None
    key_ids: list[str]
    report: Report


def verify_directory(
    directory: Path, *, against: Head | None = None, public_keys: Collection[str] = ()
) -> Checked:
    """Check every segment of a folder and that each follows the one before.

    `public_keys`, where given, are those that may have signed. OSError when it can't be read.
    """
    rows, heads = names(directory)
    late = against is not None and bool(rows) and against.n < rows[0].first - 1
    check = Check(None if late else against)
    if against is not None:
        _check_signed(check, against, public_keys)
    folder = _Folder(check, directory, public_keys)
    if not rows:
        check.fault(None, "there is no segment in this folder")
    if against is not None and late:
        told = f"the segments begin at {rows[0].first}, after the head at {against.n}"
        check.fault(None, f"{told}: nothing here shows what it says")
    for name in rows:
        folder.take(name, with_head=name in set(heads))
    for name in heads:
        if name not in set(rows):
            file = name.head(directory).name
            check.place = ""
            check.fault(name.first, f"{file}: the segment of this head is missing")
    check.place = ""
    if len(folder.key_ids) > 1 and not public_keys:
        told = f"the heads are signed by {', '.join(sorted(folder.key_ids))}"
        check.fault(None, f"{told}; give the public key of each, as signing-key list shows them")
    report = check.report(folder.epoch)
    return Checked(len(rows), rows[0].first if rows else None, sorted(folder.key_ids), report)


class _Folder:
    """Takes the segments of a folder in their order."""

    def __init__(self, check: Check, directory: Path, public_keys: Collection[str]) -> None:
        self._check = check
        self._directory = directory
        self._public_keys = public_keys
        self._begun = False
        self.key_ids: set[str] = set()
        self.epoch: str | None = None

    def take(self, name: Name, *, with_head: bool) -> None:
        check, file = self._check, name.rows(self._directory)
        check.place = file.name
        self._follow_on(name)
        with file.open("rb") as opened:
            lines = Lines(check, opened)
            for page in lines.pages():
                check.follow([page])
        if lines.head is not None:
            check.fault(None, "holds a head; that belongs in a file of its own")
        if check.n != name.last:
            check.fault(check.n + 1, f"ends at {check.n}, by its name it ends at {name.last}")
        if not with_head:
            check.fault(None, "has no signed head beside it")
            return
        self._compare(name)

    def _follow_on(self, name: Name) -> None:
        """Tell a gap or an overlap once, and go on from where this segment says it begins."""
        check, wanted = self._check, self._check.n + 1
        if self._begun and name.first == wanted:
            return
        if self._begun and name.first > wanted:
            check.fault(wanted, f"numbers {wanted} to {name.first - 1} are in no segment before it")
        elif self._begun:
            check.fault(name.first, f"begins at {name.first}, the one before ended at {check.n}")
        self._begun = True
        check.begin(name.first - 1, self._before(name))

    def _before(self, name: Name) -> bytes:
        """Return the hash that the first row says it follows: nothing here can contradict it."""
        if name.first == 1:
            return GENESIS
        try:
            with name.rows(self._directory).open("rb") as file:
                told = msgspec.json.decode(file.readline(_LINE), type=dict[str, object])
            return bytes.fromhex(str(told["previous"]))
        except (ValueError, KeyError, RecursionError):
            return GENESIS  # the line itself is told when it is read

    def _compare(self, name: Name) -> None:
        check, file = self._check, name.head(self._directory)
        check.place = file.name
        try:
            head = read_head(file)
        except HeadError as error:
            check.fault(None, str(error))
            return
        self.key_ids.add(head.key_id)
        _check_signed(check, head, self._public_keys)
        if (head.n, head.hash) != (check.n, check.hash.hex()):
            told = f"was signed for {head.n} with the hash {head.hash}"
            check.fault(head.n, f"{told}, the segment ends at {check.n} with {check.hash.hex()}")
        if self.epoch not in {None, head.epoch}:
            check.fault(head.n, f"is of another epoch ({head.epoch}) than those before it")
        self.epoch = head.epoch


def _check_signed(check: Check, head: Head, public_keys: Collection[str]) -> None:
    check_head(check, head, head.public_key if head.public_key in public_keys else None)
    if public_keys and head.public_key not in public_keys:
        check.fault(
            None, f"the head of {head.at} is signed by {head.key_id}, no key that was given"
        )
