"""Lane L2: the whole app and the whole SDK in one process on virtual time.

The same events, deeds, model and oracle as lane L1. What differs is all that lies between: tokens and
pairing codes, HTTP with its headers, statuses and compression, `/live`, `sync_forever` with its waits and
retries, and head office at work over GraphQL. A `sync` event opens the shop for some minutes; events are
carried out between two steps of the loop, when nothing is ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx2
import orjson

from regulars.transport import Transport
from regulars_schema.declare import Enum, Ref
from regulars_schema.entities import REGISTRY
from regulars_server import devices
from regulars_server.access import Access, Argon2
from regulars_server.access.postgres import AccessTables
from regulars_server.admission import Admission
from regulars_server.app import create_app, opened
from regulars_server.hub import Hub
from regulars_server.service import Service
from regulars_server.settings import Settings
from regulars_server.snapshots import Snapshots
from regulars_server.storage.interface import Storage
from regulars_server.storage.postgres import PostgresStorage
from regulars_server.storage.sqlite import SqliteStorage
from regulars_sync.errors import LocalError, Offline, Refused
from regulars_sync.round import SyncReport
from tests.simulation import deeds
from tests.simulation.attack import Liar
from tests.simulation.hq import CrashingConnection, HeadOffice, Token
from tests.simulation.network import Line, Network, Wire
from tests.simulation.plan import NETWORK
from tests.simulation.shore import Shore
from tests.simulation.tablet import Tablet, TabletCrash
from tests.simulation.virtual import VirtualLoop
from tests.simulation.world import LIVENESS_MS_MAX, START_MS, World
from tests.support.postgres import Databases

SESSION_S = (40, 120, 400)
"""How long a tablet is on before it sleeps again."""
DOWN_S = (0.0, 3.0, 70.0)
"""How long a crashed server stays away."""
FLAKY_RATE = 0.3
EXCHANGE_FAULTS = NETWORK["L2"][:-1]
CHEAP = Argon2(passes=1, memory_kib=64, lanes=1, threads=0)
STEP_S = 30.0
NO_SNAPSHOTS = 1_000_000
CUT_RATE = 0.4
"""Of the downloads of snapshots."""


class App(HeadOffice):
    """The real service and app on the chain's file."""

    service: Service
    app: Any = None

    def __init__(self, world: WholeWorld, *given: Any) -> None:
        self._world = world
        super().__init__(world.folder / "chain.db", world.now_ms, world.entropy, *given)

    def start(self) -> None:
        self._world.loop.complete(self.begin())

    def stop(self) -> None:
        self._world.drop_lines()
        self._world.loop.complete(self.end())

    async def begin(self) -> None:
        async def connect(opener: Callable[[], sqlite3.Connection]) -> CrashingConnection:
            connection = opener()
            connection.execute("PRAGMA busy_timeout = 0")  # nobody could let go while this thread waits
            return CrashingConnection(connection, self.fuse, self.trouble)

        self.fuse.before = self.fuse.after = None
        self.trouble.end()
        settings = Settings(
            data=self.path.parent,
            page_rows_max=self.page_rows,
            snapshot_rows_min=self.snapshot_rows_min or NO_SNAPSHOTS,
        )
        shore = self._world.shore
        self.storage: Storage
        where: Path | AccessTables = self.path
        if shore is None:
            self.storage = SqliteStorage(self.path, REGISTRY, self.entropy, readers=1, connect=connect)
        else:
            pools = shore.pools(self.fuse, self.trouble)
            self.storage = PostgresStorage(shore.address, REGISTRY, self.entropy, open_pool=pools)
            where = AccessTables(shore.address, shore.pools())
        access = Access(where, now_ms=self.now_ms, entropy=self.entropy, argon2=CHEAP, busy_ms=0)
        hub = Hub()
        self.admission = Admission(self.storage, self.now_ms, self.entropy, hub.publish)
        made = Snapshots(settings, self.storage, self.now_ms, self.entropy, lambda: hub.is_closing)
        self.service = Service(
            settings, self.storage, self.admission, access, self.now_ms, self.entropy, hub, made
        )
        self._opened = opened(self.service)
        await self._opened.__aenter__()
        self.app = create_app(settings, self.service)
        self.starts += 1

    def look(self, sql: str, given: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        shore = self._world.shore
        return super().look(sql, given) if shore is None else shore.look(sql, given)

    def back_up(self) -> None:
        if (shore := self._world.shore) is None:
            return super().back_up()
        self.stop()
        shore.back_up()
        return self.start()

    def restore(self) -> None:
        if (shore := self._world.shore) is None:
            return super().restore()
        self.stop()
        shore.restore()
        return self.start()

    async def end(self) -> None:
        self.app = None
        await self._opened.__aexit__(None, None, None)


class WholeTablet(Tablet):
    """A tablet whose SDK speaks HTTP and runs its own loop."""

    world: WholeWorld

    def __init__(self, world: WholeWorld, *given: Any) -> None:
        self.chance = random.Random(0)
        self.tasks: set[asyncio.Task[None]] = set()
        super().__init__(world, *given)

    def new_transport(self, url: str) -> Transport:
        world = self.world
        network = Network(world.reachable_app, world.serve, self._meets, self.chance, self._keep)
        return Wire(url, network, self._hears, self._fetches)

    def _fetches(self, what: str) -> None:
        self.world.sometimes[what] += 1

    def _hears(self, path: str, body: bytes) -> None:
        self.world.heard(path, self.units, body, self.index)

    def _meets(self, request: httpx2.Request, body: bytes) -> str | None:
        """What is to happen to this exchange."""
        world, number = self.world, self.posts
        self.posts += 1
        if request.url.path.endswith("push"):
            world.overheard = [*world.overheard[-20:], (request.url.path, body)]
            if self.chance.random() < 0.1:
                world.kept_back.append((request, body))
        if request.url.path.endswith("snapshot") and not world.is_calm and self.chance.random() < CUT_RATE:
            world.faults["answer cut short"] += 1
            return "answer cut short"
        fault = self.fault
        if fault == "flaky":
            fault = self.chance.choice(EXCHANGE_FAULTS) if self.chance.random() < FLAKY_RATE else None
        elif number != self.at:
            return None
        match fault:
            case "server_crash_before_commit":
                world.server.fuse.before = self.chance.randrange(12)
            case "server_crash_after_commit":
                world.server.fuse.after = self.chance.randrange(2)
        if fault not in EXCHANGE_FAULTS:
            return None
        if fault == "request delayed" and not request.url.path.endswith("push"):
            fault = "request lost"
        world.faults[fault] += 1
        return fault

    def _keep(self, request: httpx2.Request, body: bytes) -> None:
        self.world.kept_back.append((request, body))

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        """Let the tablet's process do this beside whatever else it does."""
        task = self.world.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, TabletCrash):
            self.world.faults["crash in a round"] += 1
            self.world.say(f"    tablet {self.index} crashed")
            self.restart()
        elif error is not None:
            self.world.failures.append(error)

    def close(self) -> None:
        """Its process ends, whatever it was doing."""
        for task in list(self.tasks):
            task.remove_done_callback(self._over)
            task.cancel()
        self.tasks.clear()
        if not self.world.loop.is_running():
            self.world.loop.run_until(self.world.loop.time())
        self.fault = None
        super().close()


class ByGraph(World):
    """A world whose head office works over GraphQL."""

    _admin: str
    """Its token."""
    _keys = 0

    def mutate(self, what: str, given: dict[str, tuple[str, Any]]) -> str:
        """One mutation by head office; the name of what it answered."""
        self._keys += 1
        names = ", ".join(f"${name}: {type}" for name, (type, _) in given.items())
        passed = ", ".join(f"{name}: ${name}" for name in given)
        key = f"key-{self._keys}"
        names = f"({names})" if names else ""
        query = f'mutation{names} {{ {what}(idempotencyKey: "{key}", {passed}) {{ __typename }} }}'
        asked = {"query": query, "variables": {name: value for name, (_, value) in given.items()}}
        said = self.answered(what, *self.send("/graphql", orjson.dumps(asked), self._admin))
        typename = str(said["data"][what]["__typename"])
        self.sometimes[f"GraphQL {typename}"] += 1
        return f"{what}: {typename}"

    def answered(self, what: str, status: int, answer: bytes) -> dict[str, Any]:
        """What a mutation was answered."""
        said: dict[str, Any] = orjson.loads(answer)
        self.check(status == 200 and "errors" not in said, "a mutation failed", what, said)
        self.trace.update(answer)
        return said

    def decide(self, one: str, other: str, decision: str) -> str:
        said = {"one": one, "other": other, "decision": decision.upper()}
        given = {"input": ("IdentityDecisionInput!", said)}
        return self._ok(self.mutate("identityDecide", given), "IdentityDecided")

    def unmerge(self, id: str) -> str:
        given = {"input": ("CustomerUnmergeInput!", {"id": id})}
        return self._ok(self.mutate("customerUnmerge", given), "CustomerSaved")

    def scan(self) -> str:
        return self.mutate("identityScan", {})

    def _ok(self, said: str, wanted: str) -> str:
        return "ok" if said.endswith(wanted) else said


class WholeWorld(ByGraph):
    """Lane L2."""

    server: App

    def __init__(
        self, chain: dict[str, Any], folder: Path, tell: bool = False, databases: Databases | None = None
    ) -> None:
        """`databases`: the chain is on PostgreSQL."""
        self.loop = VirtualLoop()
        self.shore = Shore(databases) if databases else None
        self.failures: list[BaseException] = []
        self.lines: dict[asyncio.Task[None], Line] = {}
        self.kept_back: list[tuple[httpx2.Request, bytes]] = []
        self.down_until_s = 0.0
        super().__init__(chain, folder, tell)
        self._admin = self.loop.complete(self._new_admin())
        self.head_office_deeds = {**deeds.HEAD_OFFICE_DEEDS, **GRAPH_DEEDS}

    async def _new_admin(self) -> str:
        access = self.server.service.access
        _, bearer = await access.new_token("developer", "head office", "admin", None, sensitive=True)
        return bearer

    def new_server(self, page_rows: int, snapshot_rows_min: int | None) -> App:
        return App(self, page_rows, snapshot_rows_min)

    def new_tablet(self, *given: Any) -> Tablet:
        return WholeTablet(self, *given)

    # --- time -------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        self.ms = max(self.ms + 1, START_MS + int(self.loop.time() * 1000))
        return self.ms

    def reach(self, ms: int) -> None:
        self.loop.run_until((ms - START_MS) / 1000)
        super().reach(ms)
        if self.failures:
            raise self.failures[0]

    # --- the server's end of a line ---------------------------------------------------------------

    def reachable_app(self) -> Any:
        return self.server.app if self.loop.time() >= self.down_until_s else None

    async def serve(self, line: Line) -> None:
        task = self.loop.create_task(line.run())
        self.lines[task] = line
        task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        line = self.lines.pop(task, None)
        fuse = self.server.fuse
        fuse.before = fuse.after = None
        if line is None:
            return
        self.epochs.add(self.server.storage.chain.epoch)
        if not task.cancelled() and task.exception() is not None:
            self._crash()

    def _crash(self) -> None:
        """The server's process ended: every line is cut, and it comes back after a while."""
        self.faults["server crash"] += 1
        self.say("    the server crashed")
        self.drop_lines()
        self.down_until_s = self.loop.time() + self.random.choice(DOWN_S)
        self.server.app = None

        async def restart() -> None:
            await self.server.end()
            await self.server.begin()

        def restarted(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()):
                self.failures.append(error)

        self.loop.create_task(restart()).add_done_callback(restarted)

    def drop_lines(self) -> None:
        for task, line in list(self.lines.items()):
            self.lines.pop(task)
            line.drop()
            task.cancel()

    def heard(self, path: str, unit_numbers: frozenset[int], body: bytes, who: int) -> None:
        """What a tablet was sent, uncompressed."""
        self.trace.update(body)
        self.check_canaries(unit_numbers, body, "a tablet is sent another branch's customer", who, path)

    def new_liar(self) -> Liar:
        async def enrol() -> Liar:
            code = await self.server.service.access.new_pairing_code(self.units[0], "liar")
            body = orjson.dumps({"code": code, "name": "liar", "schema": REGISTRY.version})
            _, answer = await self._send("/sync/v1/pair", body, None)
            said = orjson.loads(answer)
            self.server.tokens[said["token"]] = Token(said["device"], self.units[0], False)
            return Liar(self, said["device"], said["token"])

        return self.loop.complete(enrol())

    def send(self, path: str, body: bytes, bearer: str) -> tuple[int, bytes]:
        return self.loop.complete(self._send(path, body, bearer))

    async def _send(self, path: str, body: bytes, bearer: str | None) -> tuple[int, bytes]:
        headers = {"content-type": "application/json"}
        headers |= {"authorization": f"Bearer {bearer}"} if bearer else {}
        transport = httpx2.ASGITransport(self.server.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://hq") as client:
            answer = await client.post(path, content=body, headers=headers)
        return answer.status_code, answer.content

    # --- tablets ----------------------------------------------------------------------------------

    def token_of(self, tablet: Tablet) -> Token:
        said = tablet.shop._said
        tablet.bearer = said.get("token") or tablet.bearer
        tokens = self.server.tokens
        if tablet.bearer not in tokens:
            device = said["device"]
            known = next((token for token in tokens.values() if token.device == device), None)
            tokens[tablet.bearer] = known or Token(device, tablet.unit, tablet.sensitive)
        return tokens[tablet.bearer]

    def pair(self, tablet: Tablet) -> None:
        assert isinstance(tablet, WholeTablet)
        if self.loop.is_running():
            tablet.do(self._pair(tablet))
        else:
            tablet.fault = tablet.fuse = None
            self.loop.complete(self._pair(tablet))

    async def _pair(self, tablet: WholeTablet) -> None:
        """Somebody types a code in; when no answer comes, another one."""
        for _ in range(8):
            code = await self.server.service.access.new_pairing_code(
                tablet.unit, f"tablet {tablet.index}", tablet.sensitive
            )
            try:
                await tablet.shop.pair("http://hq", code)
            except Offline:
                await asyncio.sleep(20)
            except LocalError as error:
                self.check(error.code == "already_paired", "a tablet can't be paired", error.code)
                return
            else:
                self.token_of(tablet)
                return

    def do_sync(self, tablet: Tablet, fault: str | None = None, at: int = 0) -> None:
        self._open(tablet, fault, at, self.random.choice(SESSION_S))

    def _open(self, tablet: Tablet, fault: str | None, at: int, seconds: float) -> None:
        """Turn a tablet on for so long."""
        assert isinstance(tablet, WholeTablet)
        tablet.close()
        tablet.open()
        tablet.chance.seed(self.random.getrandbits(32))
        tablet.fault, tablet.at, tablet.posts = fault, at, 0
        self.arm(tablet, fault)
        tablet.do(self._session(tablet, seconds))

    async def _session(self, tablet: WholeTablet, seconds: float) -> None:
        stopped = asyncio.Event()
        self.loop.call_later(seconds, stopped.set)
        try:
            await tablet.shop.sync_forever(lambda report: self._told(tablet, report), stopped)
        except LocalError as error:
            self.check(tablet.revoked, "a tablet can't sync", tablet.index, error.code)
            self.sometimes["wiped, then asked"] += 1
        self.disarm(tablet)
        self.check_tablet(tablet)

    def _told(self, tablet: WholeTablet, report: SyncReport) -> None:
        self._report(tablet, report)
        if report.problem is not None and report.problem.code == "token_invalid":
            self.pair(tablet)
        self.check_tablet(tablet)

    def do_cross(self, tablet: Tablet) -> None:
        """Two tablets at the same time."""
        other = self.random.choice([t for t in self.tablets.values() if t is not tablet])
        self.faults["reordered"] += 1
        for one in (tablet, other):
            self._open(one, None, 0, self.random.choice(SESSION_S))

    def do_mid_write(self, tablet: Tablet) -> None:
        """People go on working while the tablet syncs."""
        self._open(tablet, None, 0, 60)
        self.faults["write in a round"] += 1
        for _ in range(4):
            self.reach(START_MS + int((self.loop.time() + self.random.uniform(0, 0.6)) * 1000))
            self.write(tablet, self.random.choice(("create", "edit", "record", "group")))

    def do_late(self) -> None:
        if not self.kept_back:
            return
        request, body = self.kept_back.pop(self.random.randrange(len(self.kept_back)))
        app = self.reachable_app()
        if app is None:
            return
        line = Line(app, request, body)
        self.loop.complete(self.serve(line))
        line.gone.set()
        self.faults["old push delivered"] += 1

    def do_revoke(self, tablet: Tablet) -> None:
        token = self.token_of(tablet)
        with contextlib.suppress(Refused):  # a restored server may not know it
            self.loop.complete(devices.revoke(self.server.service, token.device))
            token.revoked = True
            self.faults["tablet revoked"] += 1

    # --- the end ----------------------------------------------------------------------------------

    def settle(self) -> None:
        """No more faults, no more writes: the loops alone must bring every tablet to rest."""
        self.say("faults stop")
        self.random.seed(self.ms)
        self.is_calm = True
        self.kept_back.clear()
        begun_s = self.loop.time()
        for tablet in self.tablets.values():
            self.disarm(tablet)  # a session that is cut off here does not get there itself
            if tablet.registry is not REGISTRY:
                self.do_upgrade(tablet)
            if tablet.shop._said.get("token"):
                self._open(tablet, None, 0, LIVENESS_MS_MAX / 1000)
        waiting: list[Tablet] = []
        while self.loop.time() - begun_s < LIVENESS_MS_MAX / 1000:
            self.reach(START_MS + int((self.loop.time() + STEP_S) * 1000))
            for tablet in self.tablets.values():
                if not tablet.shop._said.get("token"):
                    self.pair(tablet)
                    self.sometimes["wiped, then paired again"] += 1
                    self._open(tablet, None, 0, LIVENESS_MS_MAX / 1000)
            waiting = [t for t in self.tablets.values() if not t.revoked and not self.is_at_rest(t)]
            if not waiting:
                break
        said = [(tablet.index, tablet.shop._said.get("refused")) for tablet in waiting]
        self.check(not waiting, "a tablet never comes to rest", said)
        for tablet in self.tablets.values():
            tablet.close()
            tablet.open()

    def close(self) -> None:
        try:
            super().close()
            self.loop.run_until(self.loop.time())
        finally:
            self.loop.close()
            if self.shore is not None:
                self.shore.close()


# --- head office over GraphQL -------------------------------------------------------------------------


def _edit(world: World, id: str, fields: dict[str, Any]) -> str:
    assert isinstance(world, ByGraph)
    entity = REGISTRY.by_name["customer"]
    given = {}
    for name, value in fields.items():
        declared = entity.by_name[name].type
        head, *rest = (f"{name}_id" if isinstance(declared, Ref) else name).split("_")
        given[head + "".join(map(str.title, rest))] = (
            value.upper() if isinstance(declared, Enum) and value else value
        )
    return world.mutate("customerUpdate", {"id": ("UUID!", id), "set": ("CustomerEdit!", given)})


def graph_edit(world: World) -> str:
    found = deeds._customer_row(world)
    if found is None:
        return "no customer yet"
    return _edit(world, found[0], deeds.some_fields(world, found[0], world.random.choice((1, 2))))


def graph_move(world: World) -> str:
    found = deeds._customer_row(world)
    if found is None or found[0] not in world.movers:
        return "nobody moves"
    return _edit(world, found[0], {"home_unit": world.random.choice(world.units)})


def graph_product(world: World) -> str:
    assert isinstance(world, ByGraph)
    name = f"sofa {world.random.randrange(99)}"
    return world.mutate("productSave", {"input": ("ProductEdit!", {"name": name})})


def graph_retry(world: World) -> str:
    assert isinstance(world, ByGraph)
    entry = deeds._held(world)
    return "nothing is held" if entry is None else world.mutate("heldRetry", {"cid": ("String!", entry.cid)})


def graph_drop(world: World) -> str:
    assert isinstance(world, ByGraph)
    entry = deeds._held(world)
    if entry is None or world.random.random() < 0.5:
        return "nothing to drop"
    said = world.mutate("heldDrop", {"cid": ("String!", entry.cid)})
    deeds.forget(world, entry.id, deeds.paths_of(entry))
    return said


GRAPH_DEEDS: dict[str, Callable[[World], str]] = {
    "edit": graph_edit,
    "move": graph_move,
    "product": graph_product,
    "retry": graph_retry,
    "drop": graph_drop,
}
