"""Turns for those who want the same thing at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class OneByOne:
    """Whoever comes under an id that somebody is busy with waits until that one is done."""

    _waiting: dict[str, list[asyncio.Lock]] = field(default_factory=dict)

    @asynccontextmanager
    async def of(self, id: str) -> AsyncIterator[None]:
        users = self._waiting.setdefault(id, [])
        lock = users[0] if users else asyncio.Lock()
        users.append(lock)
        try:
            async with lock:
                yield
        finally:
            users.pop()
            if not users:
                del self._waiting[id]
