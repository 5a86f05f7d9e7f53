"""Rotate keys that are in use all the time: neither secret is refused in the grace, none after it.

First a grace for each key, some of which end when the old secret is quiet; clients use both secrets
meanwhile, then the new one alone. Then more keys without a grace, where a request that begins after
the receipt must be refused. What was asked is added up against what was counted.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from soak.steps import (
    Figures,
    Gateway,
    Said,
    Step,
    Threads,
    command,
    question,
    require,
    spread,
    stocked,
    timed,
)
from tests.world import Server, raw_rows

from latchgate.store.usage import Column, Period, UsageReader

CLIENTS = 4
PAUSE_SECONDS = 0.001  # between a client's requests
ROTATORS = 2
QUIET = "30s"
QUIET_EVERY = 5  # one of so many ends by itself
# The job looks once a minute: it has found old secrets in use, or quiet ones, by then.
IN_USE_SECONDS = 100.0
QUIET_SECONDS = 300.0
AT_ONCE_SHARE = 5  # so many times fewer without a grace
_DAY = 86_400.0
_ENDED = "SELECT COUNT(*) FROM credential WHERE quiet_seconds NOT NULL AND revoked_at NOT NULL"
_CHAINS = "SELECT predecessor_id, COUNT(*), MIN(id) FROM credential WHERE predecessor_id NOT NULL"
_CHAINS += " GROUP BY predecessor_id"
_POINTERS = "SELECT id, superseded_by FROM credential WHERE superseded_by NOT NULL"
_NOTED = "SELECT action, record FROM journal WHERE action IN"
_NOTED += " ('key.create', 'key.rotate', 'key.retire')"


@dataclass(slots=True)
class Slot:
    """One key in use, and how far its rotation is; each flag is set before or after a call."""

    id: str
    old: bytes
    quiet: bool = False
    at_once: bool = False
    successor: str = ""
    new: bytes | None = None
    begun: bool = False  # set before its rotation is asked for
    answered: bool = False  # set after it was answered
    ended: bool = False  # … with a receipt, or when its grace was seen to have ended
    moved: bool = False  # its client uses the new secret alone

    @property
    def grace(self) -> dict[str, str]:
        """How its rotation is asked for."""
        if self.at_once:
            return {"grace": "0"}
        return {"grace": "7d"} | ({"until_quiet": QUIET} if self.quiet else {})


@dataclass(slots=True)
class Client:
    """Asks with secrets over one kept connection, judges each answer, and counts what was sent."""

    ask: Callable[[bytes], Said]
    sent: Counter[str] = field(default_factory=Counter)
    count: int = 0  # of all, for others to read meanwhile

    def old(self, slot: Slot) -> None:
        """Ask with the old secret; LostError when the answer is not the right one."""
        answered, ended = slot.answered, slot.ended  # as the request begins
        said = self._ask(slot.id, slot.old)
        if said.allowed:
            require(not ended, f"{slot.id}: the old secret was accepted after its end")
            require(said.deprecated or not answered, f"{slot.id}: the old one has no Deprecation")
            require(slot.begun or not said.deprecated, f"{slot.id}: Deprecation before a rotation")
            return
        fair = ended or (slot.at_once and slot.begun)
        require(fair, f"{slot.id}: the old secret was answered {said.status} in its grace")

    def new(self, slot: Slot) -> None:
        """Ask with the new secret, once there is one; LostError unless it is accepted."""
        if slot.new is None:
            return
        said = self._ask(slot.successor, slot.new)
        require(said.allowed, f"{slot.successor}: the new secret was answered {said.status}")
        require(not said.deprecated, f"{slot.successor}: Deprecation on the new one")

    def _ask(self, credential_id: str, asked: bytes) -> Said:
        said = self.ask(asked)
        self.sent[credential_id] += 1
        self.count += 1
        return said


@dataclass(slots=True)
class _Soak:
    """The server, the keys in use on it, and everybody who asks."""

    server: Server
    slots: list[Slot]
    threads: Threads = field(default_factory=Threads)
    clients: list[Client] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, gateway: Gateway) -> Client:
        """Return one more who asks, whose requests count."""
        made = Client(gateway.ask)
        with self._lock:
            self.clients.append(made)
        return made

    def use(self, slots: list[Slot]) -> None:
        """Use some keys in turn, with every secret of theirs, until told to stop."""
        with Gateway(self.server) as gateway:
            client = self.client(gateway)
            while True:
                for slot in slots:
                    if not slot.moved:
                        client.old(slot)
                    client.new(slot)
                    if self.threads.stop.wait(PAUSE_SECONDS):
                        return

    def rotate(self, slots: list[Slot]) -> tuple[list[float], float]:
        """Rotate keys from several threads; the seconds of each call, and of all."""
        waiting, took, rotators = iter(slots), list[float](), Threads()
        begun = time.monotonic()
        for _ in range(ROTATORS):
            rotators.start(self._rotator, waiting, took)
        rotators.join()
        self.threads.check()
        return took, time.monotonic() - begun

    def _rotator(self, waiting: Iterable[Slot], took: list[float]) -> None:
        with Gateway(self.server) as gateway:
            client = self.client(gateway)
            for slot in _shared(waiting, self._lock):
                begun = time.monotonic()
                self._rotated(slot)
                took.append(time.monotonic() - begun)
                if slot.at_once:
                    client.old(slot)  # begins after the receipt
                client.new(slot)

    def _rotated(self, slot: Slot) -> None:
        slot.begun = True
        answer = self.server.call("POST", f"/manage/v1/keys/{slot.id}/rotation", slot.grace)
        require(answer.status == 201, f"{slot.id}: a rotation was answered {answer.status}")
        told = answer.json
        require((told["receipt"] is not None) is slot.at_once, f"{slot.id}: the receipt")
        slot.successor = told["successor"]["id"]
        slot.new = question(told["secret"])
        slot.answered = True
        slot.ended = slot.at_once

    def wait(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait until something holds; LostError when it does not in time, or a client fails."""
        begun = time.monotonic()
        while not condition():
            self.threads.check()
            require(time.monotonic() - begun < seconds, f"{what}: not within {seconds:.0f} s")
            time.sleep(0.5)

    @property
    def asked(self) -> int:
        """How many requests were answered so far."""
        with self._lock:
            return sum(client.count for client in self.clients)

    @property
    def sent(self) -> Counter[str]:
        """How many requests each credential was sent in; for when everybody has stopped."""
        return sum((client.sent for client in self.clients), Counter())


def _shared(waiting: Iterable[Slot], lock: threading.Lock) -> Iterable[Slot]:
    turns = iter(waiting)
    while True:
        with lock:
            slot = next(turns, None)
        if slot is None:
            return
        yield slot


def run(folder: Path, keys: int) -> Figures:
    """Run the step in a new folder with so many keys; LostError when something is lost."""
    server = Server.made(folder / "lg")
    at_once = max(1, keys // AT_ONCE_SHARE)
    slots = [Slot(key.id, question(key.text)) for key in stocked(server, keys + at_once)]
    for slot in slots[keys:]:
        slot.at_once = True
    for slot in slots[:keys:QUIET_EVERY]:
        slot.quiet = True
    server.start()
    soak = _Soak(server, slots)
    try:
        for number in range(CLIENTS):
            soak.threads.start(soak.use, slots[number::CLIENTS])
        told = _in_grace(soak, slots[:keys])
        told |= _after_receipts(soak, slots[keys:])
        soak.threads.end()
        _require_doors(soak)
        require(server.stop() == 0, "the server did not end as it should")
    finally:
        soak.threads.stop.set()
        server.kill()
    _require_whole(soak)
    told["requests that were sent and counted"] = _counted(soak)
    audit = timed(lambda: command(server, "audit", "verify"))
    told["audit verify"] = f"{audit:.1f} s"
    return Figures(f"rotations of {keys:,} keys in use, and {at_once:,} more at once", told)


def _in_grace(soak: _Soak, slots: list[Slot]) -> dict[str, str]:
    """Rotate with a grace, use both secrets, move to the new ones, and let quiet graces end."""
    before, begun = soak.asked, time.monotonic()
    took, seconds = soak.rotate(slots)
    meanwhile = (soak.asked - before) / seconds
    soak.wait(lambda: time.monotonic() - begun > IN_USE_SECONDS, QUIET_SECONDS, "time")
    both, both_seconds = soak.asked - before, time.monotonic() - begun
    quiet = [slot for slot in slots if slot.quiet]
    database = soak.server.folder / "latchgate.db"
    require(raw_rows(database, _ENDED) == [(0,)], "a grace ended while its secret was in use")
    for slot in slots:
        slot.moved = True
    moved = time.monotonic()
    soak.wait(
        lambda: raw_rows(database, _ENDED) == [(len(quiet),)], QUIET_SECONDS, "the quiet graces"
    )
    for slot in quiet:
        slot.ended = True
    return {
        "rotations with a grace": f"{len(took):,} in {seconds:.1f} s, {len(took) / seconds:,.0f}"
        f" a second from {ROTATORS} threads; {spread(took)}",
        "requests with old and new secrets meanwhile": f"{meanwhile:,.0f} a second",
        "both secrets in use": f"{both:,} requests in {both_seconds:.0f} s, none refused,"
        " Deprecation on every one with an old secret and on no other",
        f"graces that ended after {QUIET} of quiet": f"{len(quiet):,} of {len(quiet):,}, all within"
        f" {time.monotonic() - moved:.0f} s of the last use; none while in use",
    }


def _after_receipts(soak: _Soak, slots: list[Slot]) -> dict[str, str]:
    """Rotate without a grace; the rotator and the key's own client ask with the old one after."""
    before = soak.asked
    took, seconds = soak.rotate(slots)
    meanwhile = (soak.asked - before) / seconds
    return {
        "rotations without a grace": f"{len(took):,} in {seconds:.1f} s,"
        f" {len(took) / seconds:,.0f} a second; answer with its receipt: {spread(took)}",
        "requests meanwhile": f"{meanwhile:,.0f} a second",
        "old secret refused in every request begun after its receipt": f"{len(took):,}"
        f" of {len(took):,}",
    }


def _require_doors(soak: _Soak) -> None:
    """Ask once more about every secret, old and new."""
    with Gateway(soak.server) as gateway:
        client = soak.client(gateway)
        for slot in soak.slots:
            client.old(slot)
            client.new(slot)


def _require_whole(soak: _Soak) -> None:
    """Look every rotation up: one successor each, and the journal has each change once."""
    database = soak.server.folder / "latchgate.db"
    wanted = {slot.id: slot.successor for slot in soak.slots}
    made = {old: (count, new) for old, count, new in raw_rows(database, _CHAINS)}
    require(made == {old: (1, new) for old, new in wanted.items()}, "not one successor each")
    require(dict(raw_rows(database, _POINTERS)) == wanted, "old ones name other successors")
    noted = Counter(raw_rows(database, _NOTED))
    right = Counter(("key.rotate", old) for old in wanted)
    right += Counter(("key.create", new) for new in wanted.values())
    right += Counter(("key.retire", slot.id) for slot in soak.slots if slot.quiet)
    ours = Counter({one: count for one, count in noted.items() if one in right})
    require(ours == right, "the journal has not each change once")
    more = {action for action, _ in noted if (action, _) not in right} - {"key.create"}
    require(not more, f"the journal has more than was done: {', '.join(sorted(more))}")


def _counted(soak: _Soak) -> str:
    """Compare what was counted with what was sent, credential by credential."""
    reader = UsageReader(soak.server.folder / "latchgate-usage.db")
    try:
        now = time.time()
        totals = reader.totals(
            [Column.CREDENTIAL], period=Period.DAY, since=now - _DAY, until=now + _DAY
        )
    finally:
        reader.close()
    sent = soak.sent
    counted = {total.by[Column.CREDENTIAL]: total.count for total in totals}
    wrong = {one: (counted.get(one, 0), n) for one, n in sent.items() if counted.get(one, 0) != n}
    few = dict(list(wrong.items())[:3])
    require(not wrong, f"{len(wrong)} of {len(sent)} were counted otherwise: {few}")
    return f"{sent.total():,} with {len(sent):,} secrets, exactly"


STEP = Step("rotation", run, keys=1_000)
