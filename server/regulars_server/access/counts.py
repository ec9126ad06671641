"""What limits count, for all servers of a chain: wrong tries, look-ups, what tokens may still spend.

A count is a few whole numbers under a key. A limit says, as a pure function, what they become; the table
`counted` takes it by compare and swap, so that it is the same whichever server asks, and a restart forgets
nothing. A commit here waits for no disk: when the database fails, its last instants are not counted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Protocol, TypeVar

import orjson
from tortoise.exceptions import IntegrityError

from regulars_server.access.models import CountedRow, Database
from regulars_server.one_by_one import OneByOne
from regulars_sync.errors import Refused

KEPT_MAX = 10_000
ROUNDS_MAX = 100
"""So often others may be quicker."""

State = tuple[int, ...]
"""Empty: nothing is known."""
T = TypeVar("T")
Step = Callable[[State], tuple[State, T]]


class Counts(Protocol):
    async def change(self, key: str, step: Step[T], kept_ms: int) -> T:
        """Let `step` say what the state of this key becomes, and what to tell; nobody comes between.

        It may be asked again. After `kept_ms` the state may be forgotten.
        """
        ...


class MemoryCounts:
    """Of one process, for as long as it lives."""

    def __init__(self) -> None:
        self._states: OrderedDict[str, State] = OrderedDict()

    async def change(self, key: str, step: Step[T], kept_ms: int) -> T:
        state, told = step(self._states.pop(key, ()))
        if state:
            self._states[key] = state
        if len(self._states) > KEPT_MAX:
            self._states.popitem(last=False)
        return told


class SharedCounts:
    """Of a chain. Where the database fails, so does whoever counts: `Refused` busy, storage_full."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._turns = OneByOne()

    async def change(self, key: str, step: Step[T], kept_ms: int) -> T:
        hashed = sha256(key.encode(errors="surrogatepass")).hexdigest()[:32]
        async with self._turns.of(hashed):
            for _ in range(ROUNDS_MAX):
                async with self._database.counter() as db:
                    row = await CountedRow.get_or_none(key=hashed, using_db=db)
                    known: State = tuple(orjson.loads(row.state)) if row else ()
                    state, told = step(known)
                    if state == known:
                        return told
                    said = {"state": orjson.dumps(state).decode(), "until_ms": self._now_ms() + kept_ms}
                    if row is not None:
                        same = CountedRow.filter(key=hashed, state=row.state).using_db(db)
                        if await same.update(**said):
                            return told
                        continue
                    try:
                        await CountedRow(key=hashed, **said).save(using_db=db, force_create=True)
                    except IntegrityError:
                        continue
                    return told
        raise Refused("busy", seconds=1)

    async def tidy(self) -> None:
        """Forget what counts no longer."""
        async with self._database.counter() as db:
            await CountedRow.filter(until_ms__lt=self._now_ms()).using_db(db).delete()
