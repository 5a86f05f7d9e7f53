"""The clients: they ask about keys on every node, and make, rotate and revoke keys meanwhile.

    python -m failover.load SPEC RECORDS

A program of its own, in the clients' namespace. It goes on until its standard input ends, and
writes every record as one line. Whoever got a receipt asks every node about that key at once and
again for seconds; a request to a node that is stopped waits until it goes on, for that is when a
late answer would do harm.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from collections import deque
from collections.abc import Coroutine
from pathlib import Path
from typing import BinaryIO

import msgspec
from failover.asking import Address, Answer, Connection, once, spelled
from failover.records import PATIENCE_SECONDS, Action, Ask, Change, Record

KEYS = "/manage/v1/keys"
_CHANGERS = 3  # of each node
_LATE_SECONDS, _CHANGE_SECONDS = 60.0, 20.0
_END_SECONDS = 30.0  # for what is under way in the end
_PACE_SECONDS = 0.022  # from one request to a node to the next, whatever became of the others …
_IDLE_SECONDS = 0.5  # … and between changes of one changer
_POOL = 40  # keys that are valid, before any is ended
_RECENT = 40  # keys that are over and still asked for …
_RECENT_SHARE = 0.3  # … so often
# After a receipt: at once, while others are told, when a lease ends, and after it.
_AFTER_SECONDS = (0.0, 0.1, 1.0, 3.0)
_QUESTION = (
    "GET /forwarded HTTP/1.1\r\nHost: latchgate\r\nX-Forwarded-Method: GET\r\n"
    "X-Forwarded-Uri: /v1/storage/bucket/object\r\nX-Forwarded-Host: api.example.com\r\n"
    "X-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.1\r\n"
    "Authorization: Bearer {}\r\n\r\n"
)


class Node(msgspec.Struct, frozen=True):
    """One node's addresses."""

    name: str
    api: Address
    verify: Address


class Spec(msgspec.Struct, frozen=True):
    """Whom to ask, and as whom."""

    nodes: list[Node]
    token: str
    seed: int


class Key(msgspec.Struct, frozen=True):
    """A key and its secret."""

    id: str
    secret: str

    @property
    def question(self) -> bytes:
        """The question whether it may read something, as a gateway puts it.

        Of a family that passes on any status: nginx's are told 403 by a node that can't tell.
        """
        return _QUESTION.format(self.secret).encode()


class Load:
    """All clients together, and what they know of the keys."""

    def __init__(self, spec: Spec, file: BinaryIO) -> None:
        self._spec, self._file = spec, file
        self._random = random.Random(spec.seed)
        self._valid: list[Key] = []
        self._over: deque[Key] = deque(maxlen=_RECENT)
        self._doubtful: deque[Key] = deque()  # whose end was asked for, and not acknowledged
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Ask and change until standard input ends; then wait for what is under way."""
        for node in self._spec.nodes:
            self._start(self._asker(node))
            for _ in range(_CHANGERS):
                self._start(self._changer(node))
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
        self._stopped.set()
        _, late = await asyncio.wait(self._tasks, timeout=_END_SECONDS)
        for task in late:
            task.cancel()

    async def _asker(self, node: Node) -> None:
        """Ask a node about one key after another, at a pace that its silence doesn't slow."""
        idle: list[Connection] = []
        while not self._stopped.is_set():
            if (key := self._some()) is not None:
                connection = idle.pop() if idle else Connection(node.verify, PATIENCE_SECONDS)
                self._start(self._ask(node, key, connection, idle))
            await asyncio.sleep(_PACE_SECONDS)

    async def _ask(
        self, node: Node, key: Key, connection: Connection, idle: list[Connection]
    ) -> None:
        self._asked(node, key, await connection.ask(key.question))
        idle.append(connection)

    def _some(self) -> Key | None:
        if self._over and self._random.random() < _RECENT_SHARE:
            return self._random.choice(self._over)
        return self._random.choice(self._valid) if self._valid else None

    async def _changer(self, node: Node) -> None:
        """Make a key at a node, and end one at any; then again."""
        while not self._stopped.is_set():
            told = {"name": "made by a client", "services": ["storage"]}
            made = await self._changed(Action.CREATE, node, None, told)
            if made is not None:
                self._valid.append(made)
            if self._doubtful:
                await self._end(self._doubtful.popleft(), Action.REVOKE)
            elif len(self._valid) > _POOL:
                key = self._valid.pop(self._random.randrange(len(self._valid)))
                await self._end(key, self._random.choice([Action.REVOKE, Action.ROTATE]))
            await self._pause(_IDLE_SECONDS)

    async def _end(self, key: Key, action: Action) -> None:
        """End a key at any node; once that is acknowledged, ask every node about it."""
        node = self._random.choice(self._spec.nodes)
        told = {"grace": "0"} if action is Action.ROTATE else None
        ended = await self._changed(action, node, key, told)
        if ended is None:
            self._doubtful.append(key)
            return
        if ended.id != key.id:
            self._valid.append(ended)
        self._over.append(key)
        for other in self._spec.nodes:
            for seconds in _AFTER_SECONDS:
                self._start(self._late(other, key, seconds))

    async def _late(self, node: Node, key: Key, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._asked(node, key, await once(node.verify, key.question, _LATE_SECONDS))

    async def _changed(
        self, action: Action, node: Node, key: Key | None, told: object
    ) -> Key | None:
        """Ask for a change; the key that it made, or else the one it was of; None: not known."""
        method, path = "POST", KEYS
        if key is not None:
            path = f"{KEYS}/{key.id}"
            method, path = ("POST", f"{path}/rotation") if told else ("DELETE", path)
        asked = spelled(method, path, self._spec.token, told)
        answer = await once(node.api, asked, _CHANGE_SECONDS)
        made = _made(answer)
        receipt = answer.json.get("receipt") or {}
        change = Change(
            action=action,
            node=node.name,
            key=key.id if key is not None else "",
            start=answer.start,
            end=answer.end,
            status=answer.status,
            fault=_why(answer),
            made=made.id if made is not None else "",
            lapsed=sum(one["state"] == "lapsed" for one in receipt.get("verifiers", [])),
        )
        self._note(change)
        return (made or key) if change.done else None

    def _asked(self, node: Node, key: Key, answer: Answer) -> None:
        self._note(Ask(node.name, key.id, answer.start, answer.end, answer.status, answer.fault))

    def _note(self, record: Record) -> None:
        self._file.write(msgspec.json.encode(record) + b"\n")

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            raise SystemExit(f"the load failed: {error!r}") from error

    async def _pause(self, seconds: float) -> None:
        """Wait for about so long, less when all is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds * self._random.uniform(0.5, 1.5)):
                await self._stopped.wait()


def _made(answer: Answer) -> Key | None:
    """Return the key that a creation or rotation made."""
    if answer.status != 201:
        return None
    told = answer.json
    if "successor" in told:
        return Key(told["successor"]["id"], told["secret"])
    return Key(told["id"], told["key"])


def _why(answer: Answer) -> str:
    if answer.status in {0, 200, 201}:
        return answer.fault
    return str(answer.json.get("code", ""))


def main() -> None:
    """Read what is told, and run."""
    spec, records = (Path(name) for name in sys.argv[1:3])
    with records.open("wb") as file:
        asyncio.run(Load(msgspec.json.decode(spec.read_bytes(), type=Spec), file).run())


if __name__ == "__main__":
    main()
