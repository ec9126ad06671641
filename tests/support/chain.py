"""A small chain in one process: the real app, the real SDK, no sockets. Time and randomness are given."""

from __future__ import annotations

import math
import random
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import httpx2
from starlette.applications import Starlette

from regulars import Shop
from regulars.files import connect_inline
from regulars.transport import Download
from regulars_schema.declare import Registry
from regulars_schema.entities import REGISTRY
from regulars_server import devices, erasure
from regulars_server.access import Access, Argon2
from regulars_server.admission import Admission
from regulars_server.app import DATABASE, create_app, opened
from regulars_server.authors import SERVER
from regulars_server.hub import Hub
from regulars_server.live import events
from regulars_server.pace import Pace
from regulars_server.service import Service
from regulars_server.settings import Settings
from regulars_server.snapshots import Snapshots
from regulars_server.storage.interface import Storage
from regulars_server.storage.sqlite import SqliteStorage, inline
from regulars_server.telemetry import SILENT, Telemetry
from regulars_server.telemetry.watching import WatchedStorage
from regulars_sync.errors import Offline
from regulars_sync.ids import ENTROPY_BYTES, uuid7

NOON_MS = 1_795_300_000_000
CHEAP = Argon2(passes=1, memory_kib=64, lanes=1)


@dataclass
class Clock:
    """A clock that moves when it is told to, and may stand years off."""

    ms: int = NOON_MS

    def __call__(self) -> int:
        self.ms += 1
        return self.ms

    def pass_(self, **units: int) -> None:
        factors = {"ms": 1, "seconds": 1_000, "minutes": 60_000, "hours": 3_600_000, "days": 86_400_000}
        self.ms += sum(factors[unit] * count for unit, count in units.items())


class AppTransport:
    """The SDK's transport straight into the app; `cut` loses requests or answers on the way."""

    def __init__(self, app: Starlette, service: Service) -> None:
        self.service = service
        self._client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://hq")
        self.online = True
        self.lose_answers_to: str | None = None
        """The path whose next answer is lost on its way back."""
        self.requests: list[tuple[str, bytes]] = []
        self.cut_after: int | None = None
        """After how many bytes the next download breaks off."""
        self.on_chunk: Callable[[], Awaitable[None]] | None = None
        """Done before each part of a download."""
        self.offline_after_pulls: int | None = None
        self.fetches: list[tuple[int, str | None]] = []

    async def post(self, path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
        if not self.online:
            raise Offline("offline")
        if path.endswith("/pull") and self.offline_after_pulls is not None:
            if self.offline_after_pulls == 0:
                raise Offline("offline")
            self.offline_after_pulls -= 1
        self.requests.append((path, body))
        headers = {"content-type": "application/json"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        answer = await self._client.post(path, content=body, headers=headers)
        if self.lose_answers_to == path:
            self.lose_answers_to = None
            raise Offline("offline")
        return answer.status_code, answer.content

    @asynccontextmanager
    async def fetch(
        self, path: str, token: str, start: int = 0, etag: str | None = None
    ) -> AsyncIterator[Download]:
        if not self.online:
            raise Offline("offline")
        self.fetches.append((start, etag))
        headers = {"authorization": f"Bearer {token}"}
        if start and etag:
            headers |= {"range": f"bytes={start}-", "if-range": etag}
        answer = await self._client.get(path, headers=headers)
        yield Download(answer.status_code, answer.headers, self._chunks(answer.content))

    async def _chunks(self, body: bytes) -> AsyncIterator[bytes]:
        cut, self.cut_after = self.cut_after, None
        for at in range(0, len(body) if cut is None else min(cut, len(body)), 4_096):
            if self.on_chunk is not None:
                await self.on_chunk()
            yield body[at : at + 4_096 if cut is None else min(at + 4_096, cut)]
        if cut is not None:
            raise Offline("offline")

    async def listen(self, path: str, token: str) -> AsyncIterator[str]:
        """The server's own stream of events, without a socket between."""
        if not self.online:
            raise Offline("offline")
        principal, author = await self.service.device(token)
        if principal.revoked:
            yield "end"
            return
        async for event in events(self.service, token, author.scopes or frozenset()):
            if event.startswith(b"event: "):
                yield event.split(b"\n")[0].removeprefix(b"event: ").decode()

    async def close(self) -> None:
        await self._client.aclose()


@dataclass
class Chain:
    """A service with a company and two branches, and as many tablets as a test wants."""

    service: Service
    app: Starlette
    folder: Path
    clock: Clock
    entropy: Callable[[int], bytes]
    units: dict[str, str] = field(default_factory=dict)
    transports: dict[str, AppTransport] = field(default_factory=dict)
    shops: dict[str, Shop] = field(default_factory=dict)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    def new_id(self) -> str:
        return uuid7(self.clock(), self.entropy(ENTROPY_BYTES))

    async def unit(self, name: str, kind: str, parent: str | None = None, **fields: object) -> str:
        id = self.units[name] = self.new_id()
        given = {"name": name, "kind": kind, **({"parent": parent} if parent else {}), **fields}
        await self.write("create", "unit", id, given)
        return id

    async def write(self, op: str, entity: str, id: str, fields: dict[str, object]) -> None:
        """A change by head office, which must be accepted."""
        change = self.service.change(op, entity, id, fields)  # type: ignore[arg-type]
        ((ruling,),) = await self.service.admission.write(SERVER, [[change]])
        assert ruling.verdict in {"applied", "merged"}, ruling

    async def tablet(
        self,
        name: str,
        unit: str = "Nanjing Road",
        clock: Clock | None = None,
        sensitive: bool = False,
        paired: bool = True,
        registry: Registry = REGISTRY,
    ) -> Shop:
        """A tablet of a unit, paired unless told otherwise, closed at the end of the test."""
        transport = self.transports[name] = AppTransport(self.app, self.service)

        shop = await self.stack.enter_async_context(
            Shop.open(
                self.folder / f"{name}.db",
                now_ms=clock or self.clock,
                entropy=self.entropy,
                transport=lambda url: transport,
                connect=connect_inline,
                registry=registry,
                durable=False,
            )
        )
        self.shops[name] = shop
        if paired:
            code = await self.service.access.new_pairing_code(self.units[unit], name, sensitive)
            await shop.pair("http://hq", code, name)
        return shop

    async def back_up(self) -> Path:
        """A copy of the chain's database as it is now."""
        copy = self.folder / f"copy-{self.clock()}.db"
        with closing(sqlite3.connect(self.folder / DATABASE)) as database:
            database.execute("VACUUM INTO ?", (str(copy),))
        return copy

    async def restore(self, copy: Path) -> None:
        """Put an earlier copy in the place of the chain's database, as an administrator would."""
        await self.service.access.close()
        await self.service.storage.close()
        for file in self.folder.glob(f"{DATABASE}*"):
            file.unlink()
        shutil.copy(copy, self.folder / DATABASE)
        await self.service.storage.open()
        await self.service.access.open()
        await devices.replay(self.service)
        await erasure.replay(self.service)

    async def digests_equal(self, shop: Shop) -> bool:
        """Whether the tablet's bytes, counted anew, are what the server's scopes hold."""
        held = await shop.verify()
        async with self.service.storage.unscoped_reader() as reader:
            there = await reader.digests(held.keys())
        return held == dict(there)


def seeded(seed: int) -> Callable[[int], bytes]:
    """Randomness that a seed replays."""
    return random.Random(seed).randbytes


@asynccontextmanager
async def open_chain(
    folder: Path,
    storage: Storage | None = None,
    seed: int = 1,
    registry: Registry = REGISTRY,
    now_ms: int = NOON_MS,
    entropy: Callable[[int], bytes] | None = None,
    telemetry: Telemetry = SILENT,
    **settings_: Any,
) -> AsyncIterator[Chain]:
    """The chain whose database lies in the folder; an empty one is made where there is none."""
    clock, entropy = Clock(now_ms), entropy or seeded(seed)
    path = folder / DATABASE
    storage = storage or SqliteStorage(path, registry, entropy, readers=1, connect=inline)
    if telemetry.is_on:
        storage = cast(Storage, WatchedStorage(storage, telemetry))
    access = Access(path, now_ms=clock, entropy=entropy, argon2=CHEAP)
    endless = {f"{kind}_cost_max": 0 for kind in ("session", "device", "developer")}  # time stands still
    settings = Settings(data=folder, **{**endless, **settings_})
    hub = Hub()
    admission = Admission(storage, clock, entropy, hub.publish, telemetry)
    snapshots = Snapshots(settings, storage, clock, entropy, lambda: hub.is_closing)
    service = Service(settings, storage, admission, access, clock, entropy, hub, snapshots)
    service = replace(
        service, telemetry=telemetry, pace=Pace(math.inf)
    )  # how busy the machine is changes no test
    async with opened(service):
        app = create_app(settings, service)
        chain = Chain(service, app, folder, clock, entropy)
        async with chain.stack:
            yield chain


@asynccontextmanager
async def new_chain(
    folder: Path, storage: Storage | None = None, seed: int = 1, **settings_: Any
) -> AsyncIterator[Chain]:
    """A chain `hq` with the branches `Nanjing Road` (CN) and `Orchard` (SG)."""
    async with open_chain(folder, storage, seed, **settings_) as chain:
        company = await chain.unit("hq", "company", country="CN", time_zone="Asia/Shanghai", currency="CNY")
        await chain.unit("Nanjing Road", "branch", company)
        await chain.unit("Orchard", "branch", company, country="SG", time_zone="Asia/Singapore")
        yield chain
