"""A tablet in a simulation: the real SDK on real files, whose process may end between any two local steps."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from regulars import Shop
from regulars.files import InlineConnection
from regulars.transport import Download, Transport
from regulars_schema.declare import Registry
from regulars_schema.entities import REGISTRY
from regulars_sync import audit
from regulars_sync.errors import Offline
from tests.simulation.by_hand import run
from tests.simulation.trouble import Trouble, TroubledFile

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")
ROAMING = 2
"""Tablets from this number on may go to another branch."""
SUFFIXES = (".db", ".outbox.db")
CHUNK_BYTES = 1_000
ROWS_MAX = 1_000_000


NEW_FIELDS = frozenset({"wechat", "hobbies", "first_seen", "credit_status", "belief"})
"""What tablets of the previous version do not know either, so that many rows hold what they can't read."""


def previous(registry: Registry) -> Registry:
    """The registry of a tablet that was not upgraded yet."""
    entities = tuple(
        replace(
            entity,
            fields=tuple(
                field
                for field in entity.fields
                if field.since < registry.version and field.name not in NEW_FIELDS
            ),
        )
        for entity in registry.entities
        if entity.since < registry.version
    )
    return Registry(version=registry.version - 1, entities=entities, oldest_served=registry.oldest_served)


PREVIOUS = previous(REGISTRY)


class TabletCrash(BaseException):
    """The tablet's process ended here."""


class Pause:
    """A moment at which somebody else may go on: a message is on its way."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class CrashingConnection(InlineConnection):
    """A connection that ends the process before or after a chosen transaction."""

    def __init__(self, path: Path, tablet: Tablet) -> None:
        self._connection: TroubledFile = sqlite3.connect(
            path, isolation_level=None, cached_statements=256, factory=TroubledFile
        )
        self._connection.trouble = tablet.trouble
        self._tablet = tablet

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        tablet = self._tablet
        if tablet.fuse is None:
            return work(self._connection)
        tablet.fuse -= 1
        if tablet.fuse == -1:
            raise TabletCrash
        result = work(self._connection)
        if tablet.fuse == -2:
            raise TabletCrash
        return result


async def _chunks(body: bytes, is_cut: bool) -> AsyncIterator[bytes]:
    for at in range(0, len(body), CHUNK_BYTES):
        yield body[at : at + CHUNK_BYTES]
    if is_cut:
        raise Offline("offline", reason="cut off")


class SimTransport:
    """The network between a tablet and head office: the protocol's bytes, given to the world."""

    def __init__(self, tablet: Tablet) -> None:
        self._tablet = tablet

    async def post(self, path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
        await Pause()
        return self._tablet.world.deliver(self._tablet, path, body, token)

    @asynccontextmanager
    async def fetch(
        self, path: str, token: str, start: int = 0, etag: str | None = None
    ) -> AsyncIterator[Download]:
        await Pause()
        status, headers, body, is_cut = self._tablet.world.download(self._tablet, token, start, etag)
        yield Download(status, headers, _chunks(body, is_cut))

    def listen(self, path: str, token: str) -> AsyncIterator[str]:
        raise Offline("offline")

    async def close(self) -> None:
        pass


class Tablet:
    """A place for a tablet: its files, its clock, what goes wrong with it next."""

    def __init__(
        self,
        world: World,
        index: int,
        units: frozenset[int],
        unit: str,
        sensitive: bool,
        is_old: bool = False,
    ) -> None:
        self.world = world
        self.index = index
        self.units = units
        """The branches that it may see, by number."""
        self.roams = index >= ROAMING and len(units) == 1
        """Whether head office may give it to another branch."""
        self.ever = units
        """Those that it ever might: its own changes about their customers stay with it."""
        self.unit = unit
        self.sensitive = sensitive
        self.path = world.folder / f"tablet{index}.db"
        self.skew_ms = 0
        self.fuse: int | None = None
        self.trouble = Trouble()
        self.registry = PREVIOUS if is_old else REGISTRY
        self.fault: str | None = None
        self.at = 0
        self.posts = 0
        self.bearer = ""
        """What it was paired with; a tablet that wiped itself has forgotten it."""
        self.made: list[str] = []
        """Customers that were registered here, in order."""
        self.wrote: dict[str, None] = {}
        """The cids of every write that the SDK has acknowledged here."""
        self._read = 0
        self.is_damaged = False
        """Its replica file was damaged, and it has not been mended yet."""
        self.shop: Shop
        self._opened: AbstractAsyncContextManager[Shop]
        self.open()

    def new_transport(self, url: str) -> Transport:
        return SimTransport(self)

    @property
    def revoked(self) -> bool:
        """Whether the device that it is, or was last, was revoked."""
        return self.world.token_of(self).revoked

    def now_ms(self) -> int:
        return self.world.now_ms() + self.skew_ms

    # --- the process ------------------------------------------------------------------------------------

    def open(self) -> None:
        async def connect(path: Path) -> InlineConnection:
            return CrashingConnection(path, self)

        self.fuse = None
        self.trouble.end()
        self._opened = Shop.open(
            self.path,
            now_ms=self.now_ms,
            entropy=self.world.entropy,
            transport=self.new_transport,
            connect=connect,
            registry=self.registry,
            durable=False,
        )
        self.shop = run(self._opened.__aenter__())

    def close(self) -> None:
        run(self._opened.__aexit__(None, None, None))

    def restart(self) -> None:
        self.close()
        self.open()

    # --- its files --------------------------------------------------------------------------------------

    @property
    def files(self) -> list[Path]:
        return [self.path.with_suffix(suffix) for suffix in SUFFIXES]

    def back_up(self) -> None:
        self.close()
        for file in self.files:
            shutil.copyfile(file, f"{file}.backup")
        self.open()

    def has_backup(self) -> bool:
        return Path(f"{self.path}.backup").exists()

    def restore(self) -> None:
        self.close()
        for file in self.files:
            for suffix in ("-wal", "-shm"):
                Path(f"{file}{suffix}").unlink(missing_ok=True)
            shutil.copyfile(f"{file}.backup", file)
        self.is_damaged = True  # perhaps: the copy may be of a worn disk
        self._read = 0
        self.open()

    def damage(self, what: str, random: Random) -> bool:
        """Turn a digit of a document, or lose an entry, as a worn disk does; whether there was any."""
        table, key = ("find", "entity, id") if "index" in what else ("row", "entity, id, level")
        found = self.rows(f"SELECT {key} FROM {table} ORDER BY {key}")
        if not found:
            return False
        place = random.choice(found)
        where = " AND ".join(f"{name} = ?" for name in key.split(", "))
        if what == "row flipped":
            ((document,),) = self.rows(f"SELECT document FROM row WHERE {where}", *place)
            at = random.choice([i for i, byte in enumerate(document) if chr(byte) in "12345678"])
            other = document[:at] + b"9" + document[at + 1 :]
            self.rows(f"UPDATE row SET document = ? WHERE {where}", other, *place)
        else:
            self.rows(f"DELETE FROM {table} WHERE {where}", *place)
        self.is_damaged = True
        return True

    def clone(self, other: Tablet) -> None:
        """Make the other tablet a copy of this one."""
        self.close()
        other.close()
        for mine, its in zip(self.files, other.files, strict=True):
            for suffix in ("-wal", "-shm"):
                Path(f"{its}{suffix}").unlink(missing_ok=True)
            shutil.copyfile(mine, its)
        other.is_damaged = self.is_damaged
        other.made = list(self.made)
        other.skew_ms = self.skew_ms
        other.bearer = self.bearer
        self.open()
        other.open()

    def rows(self, sql: str, *given: Any) -> list[tuple[Any, ...]]:
        """Look into the replica file, as nobody else does."""
        return self._look(self.shop._rows.file._connection, sql, given)

    def is_indexed(self) -> bool:
        """Whether what rows are found by is what their documents say."""
        looking: Any = _Looking(self.rows)
        return audit.look(looking, self.shop.registry, audit.START, ROWS_MAX).is_whole

    def outbox(self, sql: str, *given: Any) -> list[tuple[Any, ...]]:
        return self._look(self.shop._outbox.file._connection, sql, given)

    def _look(self, connection: Any, sql: str, given: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return connection._connection.look(sql, given)  # type: ignore[no-any-return]

    def acknowledge(self) -> list[str]:
        """Note what the SDK has written since: the caller was told that it is durable."""
        found = self.outbox("SELECT pos, cid FROM change WHERE pos > ? ORDER BY pos", self._read)
        if found:
            self._read = found[-1][0]
        cids = [cid for _, cid in found]
        self.wrote.update(dict.fromkeys(cids))
        return cids

    def customers(self) -> list[str]:
        """The customers of its replica, and those that were registered here."""
        found = [id for (id,) in self.rows("SELECT id FROM row WHERE entity='customer' AND level='internal'")]
        return found + [id for id in self.made if id not in set(found)]


class _Found(list[tuple[Any, ...]]):
    """Rows as a cursor gives them."""

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        return self[0] if self else None


class _Looking:
    """A file as something to read from."""

    def __init__(self, rows: Callable[..., list[tuple[Any, ...]]]) -> None:
        self._rows = rows

    def execute(self, sql: str, given: Sequence[Any] = (), /) -> _Found:
        return _Found(self._rows(sql, *given))
