"""How long the server keeps what only tells a tablet of the past.

Departures, and the marks of commits: so long as a tablet may be away and still catch up. Verdicts that
are final leave their device's scope before; those that say that somebody was erased stay as long as
departures do. Tombstones of what was erased, the log and incarnations are kept for ever.
"""

from __future__ import annotations

from regulars_server.storage.interface import Batch, Storage
from regulars_sync.placement import Place

DAY_MS = 86_400_000
VERDICT_DAYS = 60
RETIRED_MAX = 1_000
"""So many verdicts leave in one transaction."""


async def tidy(storage: Storage, now_ms: int, departures_days: int) -> None:
    """Let go of what has been kept for long enough. Idempotent."""
    departures_ms = now_ms - departures_days * DAY_MS
    verdicts_ms = max(now_ms - VERDICT_DAYS * DAY_MS, departures_ms)
    await _retire(storage, now_ms, verdicts_ms, erased=False)
    await _retire(storage, now_ms, departures_ms, erased=True)
    await storage.compact(departures_ms)


async def _retire(storage: Storage, now_ms: int, before_ms: int, erased: bool) -> None:
    """Let final verdicts from before then leave their devices' scopes."""
    while True:
        async with storage.writer() as writer:
            ids = await writer.settled(before_ms, RETIRED_MAX, erased)
            if not ids:
                return
            batch = Batch(at_ms=now_ms)
            for (entity, id), row in (await writer.rows([("change_verdict", id) for id in ids])).items():
                scopes = [scope for scope, left in row.places.items() if not left]
                batch.writes.places += [Place(scope, entity, id, left=True) for scope in sorted(scopes)]
            await writer.commit(batch)
