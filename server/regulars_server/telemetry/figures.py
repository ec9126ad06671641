"""What the chain is like now: what waits and for how long, which tablets lag, commits, works, disk."""

from __future__ import annotations

import math
import shutil
from collections import Counter

from regulars_server.service import Service
from regulars_server.telemetry import declared

EVERY_S = 30.0
DEVICES_MAX = 5_000


async def lags_s(service: Service) -> dict[str, float]:
    """For how long each tablet that is not shut out was not heard of, the longest first; inf: never yet."""
    now = service.now_ms()
    found = {
        token.owner: math.inf if token.last_used_ms is None else max(now - token.last_used_ms, 0) / 1_000
        for token in await service.access.tokens()
        if token.kind == "device" and token.owner and token.revoked_ms is None
    }
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


async def publish(service: Service) -> None:
    """Take the figures and let them be read."""
    meter = service.telemetry.meter
    if meter is None:
        return
    now = service.now_ms()
    async with service.storage.unscoped_reader() as reader:
        head = await reader.head()
        waiting = await reader.open_counts()
    found: list[tuple[str, tuple[str, ...], float]] = []
    for one in waiting:
        labels = (one.verdict, one.code or "")
        found.append((declared.WAITING, labels, one.changes))
        found.append((declared.WAITING_AGE, labels, max(now - one.oldest_ms, 0) / 1_000))
    lags = await lags_s(service)
    heard = [(device, lag) for device, lag in lags.items() if lag < math.inf]
    found += [(declared.DEVICE_LAG, (device,), lag) for device, lag in heard[:DEVICES_MAX]]
    for within in declared.LAGS_S:
        count = sum(lag <= within for lag in lags.values())
        found.append((declared.DEVICES, (str(within),), count))
    found.append((declared.DEVICES, ("+Inf",), len(lags)))
    works = Counter((work.kind, work.state) for work in await service.works.open())
    found += [(declared.WORKS, kind_and_state, count) for kind_and_state, count in works.items()]
    found.append((declared.COMMITS, (), head.seq))
    if service.settings.data.exists():
        found.append((declared.DISK, (), shutil.disk_usage(service.settings.data).free))
    found.append((declared.TAKEN, (), now / 1_000))
    meter.publish(found)
