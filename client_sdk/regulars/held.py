"""Own changes that the server holds or rejected: what they were, why, and what can be done."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from regulars import replica
from regulars.outbox import Outbox
from regulars.replica import Replica
from regulars_schema.messages import text
from regulars_sync import changes
from regulars_sync.changes import Change


@dataclass(frozen=True, slots=True)
class HeldChange:
    cid: str
    entity: str
    id: str
    verdict: str
    """held: may yet apply as it is; rejected: applies only mended."""
    code: str
    field: str | None
    detail: dict[str, Any]
    change: Change

    def message(self, lang: str = "en") -> str:
        """Why, and what to do, in `zh` or `en`."""
        return text(self.code, {"field": self.field, **self.detail}, lang)


async def held_changes(rows: Replica, outbox: Outbox) -> list[HeldChange]:
    """In the order in which they were made; one that a mend replaces stays until the server says so."""
    live = {change.cid: change for change in await outbox.live()}

    def work(connection: sqlite3.Connection) -> dict[str, dict[str, Any]]:
        return {cid: v for cid, v in replica.verdicts(connection, live).items() if replica.is_open(v)}

    said = await rows.read(work)
    return [
        HeldChange(
            cid,
            change.entity,
            change.id,
            said[cid]["verdict"],
            said[cid].get("code") or "",
            said[cid].get("field"),
            said[cid].get("detail") or {},
            changes.decode(change.body),
        )
        for cid, change in live.items()
        if cid in said
    ]
