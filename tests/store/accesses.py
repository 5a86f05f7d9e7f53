"""An access log over an engine, with clocks to turn."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.world import FILES, World, asking, compiled

from latchgate.core.model import Decision, Request
from latchgate.core.redact import redactor
from latchgate.store.access_log import AccessLog

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
DAY = 86_400


class Accesses:
    """One process's access log below a folder; `log` writes it when it is flushed."""

    def __init__(self, world: World, folder: Path, *, max_bytes: int = 16 << 20) -> None:
        self.now, self.ticks = NOON, 0.0
        self.folder = folder / "access"
        self.noted: list[tuple[Decision, Request, float]] = []
        self.engine = world.engine(
            clock=lambda: self.now, on_decision=lambda *told: self.noted.append(told)
        )
        self.log = self.another(max_bytes=max_bytes)

    def another(self, *, max_bytes: int = 16 << 20) -> AccessLog:
        """Return a log of the same folder, as another process would have one."""
        return AccessLog(
            self.folder,
            redact=redactor(compiled(FILES, 1).patterns()),
            ticks=lambda: self.ticks,
            clock=lambda: self.now,
            max_bytes=max_bytes,
        )

    def decide(self, key: Any = None, *, at: float | None = None, **how: Any) -> Decision:
        """Decide a request and note it."""
        self.now = at if at is not None else self.now
        self.engine.decide(asking(key, **how))
        noted = self.noted.pop()
        self.log.note(*noted)
        return noted[0]

    @property
    def files(self) -> list[Path]:
        """Its files, by name."""
        return sorted(self.folder.glob("*"))

    def lines(self) -> list[dict[str, Any]]:
        """Every line of every file."""
        text = "".join(file.read_text() for file in self.files)
        return [json.loads(line) for line in text.splitlines()]
