"""A chain of real processes: starts them, gives them deeds, lets things go wrong, brings all to rest."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncpg

from regulars_sync.errors import Offline
from tests.faults.ailments import Ailments
from tests.faults.disk import Disk
from tests.faults.end import AFFLICTED, PAIRS_ANEW, START_S_MAX, TabletEnd, copy_files, environment
from tests.faults.far import FarWorld
from tests.faults.scenario import SERVER_CLOCK_MS, Scenario
from tests.simulation.deeds import TABLET_DEEDS
from tests.simulation.plan import HEAD_OFFICE, NETWORK
from tests.simulation.world import Failure
from tests.support.postgres import AS_NOBODY, NOBODY, PostgresServer, free_port, programs
from tests.support.server import ServerProcess

SETTLE_S_MAX = 180.0
SETTLE_ROUNDS = 10
PAIRINGS = 5
END_S = 30
SESSION_S = (2.0, 8.0)
DOWN_S = 0.5
STILLBORN = 0.4
"""How often a server that was killed is killed again while it starts."""
UP_S = (0.2, 2.5)
"""How long a server runs before it is killed; so many it takes to start on a busy machine."""
BEHIND_MS_MAX = 300 * 86_400_000
"""A sighting ends after a year, and the oracle does not know when a real server looked."""
SERVER_MIB, POSTGRES_MIB = 96, 320
SMALL = {"min_wal_size": "32MB", "max_wal_size": "64MB", "shared_buffers": "32MB"}


class Chain:
    """One run."""

    def __init__(self, folder: Path, scenario: Scenario, mounts: bool) -> None:
        self.folder = folder
        self.scenario = scenario
        self.mounts = mounts
        self.chance = random.Random(scenario.seed)
        self.faults: Counter[str] = Counter()
        self.sometimes: Counter[str] = Counter()
        self.reports: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.transactions = 0
        self.failures: list[BaseException] = []
        self.settled_s = 0.0
        self.world: FarWorld
        self.tablets: dict[int, TabletEnd] = {}
        self._news: list[tuple[str, str, Any]] = []
        self._office: asyncio.Queue[tuple[str, int, list[Any]]] = asyncio.Queue()
        self._serving = asyncio.Lock()
        self._is_condemned = False
        self._up_since_s = 0.0
        self._ending: set[asyncio.Task[None]] = set()
        self._copies: dict[int, Path] = {}
        self._backup: Path | None = None
        os.chmod(folder, 0o711)
        self.data = Disk(folder / "chain", SERVER_MIB, mounts)
        self.ailments = Ailments(folder / "server.ails")
        self.postgres: PostgresServer | None = None
        self.postgres_disk: Disk | None = None
        settings = {
            "REGULARS_PAGE_ROWS_MAX": str(scenario.chain["page_rows"]),
            "REGULARS_DEVELOPER_COST_MAX": "0",
            "REGULARS_SNAPSHOT_ROWS_MIN": str(scenario.chain["snapshot_rows_min"] or 1_000_000),
            **environment(),
        }
        if scenario.engine == "postgres":
            settings["REGULARS_DATABASE"] = self._begin_postgres()
        program = (*AFFLICTED, str(self.ailments.file), str(self.data.folder), "regulars_server.cli")
        self.server = ServerProcess(self.data.folder, settings, program)

    def _begin_postgres(self) -> str:
        folder = self.folder / "postgres"
        self.postgres_disk = Disk(folder, POSTGRES_MIB, self.mounts)
        found = programs(self.folder)
        if AS_NOBODY:
            os.chown(folder, NOBODY, NOBODY)
        self.postgres = postgres = PostgresServer(folder, found, free_port(), **SMALL)
        postgres.initialize()
        postgres.start()
        return postgres.url

    def check(self, holds: bool, law: str, *about: Any) -> None:
        if not holds:
            raise Failure(law, *about)

    # --- what everybody knows ---------------------------------------------------------------------

    def learn(self, name: str, key: str, value: Any) -> None:
        world = self.world
        if name == "about":
            world.about[key] = tuple(value)
            return
        if name == "movers":
            world.movers.add(key)
        elif name == "customers":
            world.customers[key] = value
        else:  # two may drop a member of a group at once
            before = world.groups.get(key)
            value = value if before is None else [member for member in before if member in value]
            world.groups[key] = value
        self._news.append((name, key, value))

    def news(self, tablet: TabletEnd, heard: int) -> tuple[dict[str, Any], int]:
        """What its process has not heard yet."""
        new: dict[str, Any] = {"customers": {}, "groups": {}, "movers": []}
        for name, key, value in self._news[heard:]:
            if name == "movers":
                new["movers"].append(key)
            else:
                new[name][key] = value
        if heard == 0:
            world = self.world
            new |= {"units": world.units, "segments": world.segments, "unit": tablet.unit}
            new["numbers"] = sorted(tablet.numbers)
        return new, len(self._news)

    # --- founding ---------------------------------------------------------------------------------

    async def found(self) -> None:
        scenario = self.scenario
        await self._start_server()
        made = await asyncio.to_thread(
            self.server.run, "token", "add", "head office", "--role", "admin", "--sensitive"
        )
        database = self.postgres.url if self.postgres else None
        self.world = FarWorld(scenario.chain, self.folder, self.server.url, database)
        await asyncio.to_thread(self.world.begin, scenario.chain, str(made["token"]))
        for i, given in enumerate(scenario.chain["tablets"]):
            await self._place(i, given)
        unpaired = list(self.tablets.values())
        for _ in range(PAIRINGS):
            await asyncio.gather(*(tablet.pair() for tablet in unpaired))
            unpaired = [tablet for tablet in unpaired if not tablet.token]
        self.check(not unpaired, "tablets can't be paired", [tablet.index for tablet in unpaired])

    async def _place(self, index: int, given: dict[str, Any]) -> TabletEnd:
        world = self.world
        tablet = self.tablets[index] = TabletEnd(self, index, given)
        is_branch = given["unit"] >= 0
        tablet.numbers = frozenset((given["unit"],) if is_branch else range(len(world.units)))
        tablet.unit = world.units[given["unit"]] if is_branch else world.company
        await tablet.proxy.open()
        return tablet

    # --- the server -------------------------------------------------------------------------------

    async def _start_server(self) -> None:
        begun = time.monotonic()
        while True:
            is_killed = self._is_condemned and self.chance.random() < STILLBORN
            try:
                if is_killed:
                    self._soon(self._kill_newborn(self.chance.uniform(0, UP_S[1] / 2)))
                await asyncio.to_thread(self.server.start)
                self._up_since_s = time.monotonic()
                return
            except AssertionError:  # its disk or its database fails, or it was killed while it started
                self.server.forget()
                self.sometimes["the server could not start"] += 1
                said = (self.folder / "server.log").read_text()[-2000:]
                self.check(time.monotonic() - begun < START_S_MAX, "the server does not start", said)
                await asyncio.sleep(0.3)

    async def _kill_newborn(self, wait_s: float) -> None:
        """Kill the server while it starts; a quick one has started by then, and is killed soon enough."""
        await asyncio.sleep(wait_s)
        process = self.server.process
        if process is not None and self._serving.locked():
            process.kill()
            self.faults["server killed while it starts"] += 1

    async def _restart(self, name: str, is_killed: bool = True) -> None:
        async with self._serving:
            self._trouble(DOWN_S)
            if self.server.is_running and is_killed:
                self.server.kill()
                self.faults[name] += 1
            elif self.server.is_running:
                return
            else:
                self.sometimes["the server ended by itself"] += 1
                self.server.forget()
            await asyncio.sleep(self.chance.uniform(0, DOWN_S))
            await self._start_server()
            self._trouble(DOWN_S)

    def _trouble(self, seconds: float) -> None:
        """From now on, and for a while, the server may fail."""
        world = self.world
        world.troubled_until_s = max(world.troubled_until_s, time.monotonic() + seconds + 8)
        world.server.trouble.met = True

    # --- a run ------------------------------------------------------------------------------------

    async def suffer(self, progress: Callable[[float], None]) -> None:
        scenario = self.scenario
        loop = asyncio.get_running_loop()
        begun = loop.time()
        office = asyncio.create_task(self._work_office())
        for tablet in self.tablets.values():
            tablet.proxy.rate = scenario.rate
            tablet.work()
            if scenario.is_always_on:
                tablet.be_online(scenario.seconds + 5)
        for at, do, index, draw, more in scenario.events:
            while (wait_s := begun + at - loop.time()) > 0:
                await asyncio.sleep(min(wait_s, 0.5))
                self._look(progress, loop.time() - begun)
            self._dispatch(do, index, draw, more)
        while loop.time() - begun < scenario.seconds:
            await asyncio.sleep(0.2)
            self._look(progress, loop.time() - begun)
        office.cancel()
        await asyncio.gather(office, return_exceptions=True)

    def _look(self, progress: Callable[[float], None], done_s: float) -> None:
        progress(done_s)
        if self.failures:
            raise self.failures[0]
        if not self.server.is_running and not self._serving.locked():
            self._soon(self._restart("", is_killed=False))

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._guarded(work))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            self.failures.append(error)

    def _dispatch(self, do: str, index: int, draw: int, more: list[Any]) -> None:
        if index == HEAD_OFFICE:
            self._office.put_nowait((do, draw, more))
            return
        tablet = self.tablets.get(index)
        if tablet is None:
            return
        chance = random.Random(draw)
        if do in TABLET_DEEDS:
            tablet.queue.put_nowait({"do": "deed", "kind": do, "draw": draw})
        elif do in {"sync", "cross", "mid_write"}:
            tablet.be_online(chance.uniform(*SESSION_S))
            self._arm(tablet, chance, *more)
            if do == "cross":
                chance.choice(list(self.tablets.values())).be_online(chance.uniform(*SESSION_S))
            for kind in chance.choices(("create", "edit", "record", "group"), k=4 * (do == "mid_write")):
                tablet.queue.put_nowait({"do": "deed", "kind": kind, "draw": chance.getrandbits(32)})
        elif do == "partition":
            tablet.proxy.part(more[0])
        elif do == "clock":
            tablet.ailments.shift_ms = max(-BEHIND_MS_MAX, more[0])
            self.faults["tablet's clock off"] += bool(more[0])
        elif do in {"crash_write", "disk_write"}:
            tablet.queue.put_nowait({"do": "deed", "kind": "group", "draw": draw})
            if do == "crash_write":
                self._soon(self._kill_later(tablet, chance.uniform(0, 0.03), "tablet killed in a write"))
            else:
                self._ail(f"tablet's {WORN[more[0]]}", tablet, 0.3)
        elif do in PEOPLE:
            tablet.queue.put_nowait(lambda: PEOPLE[do](self, tablet, *more))
        elif do == "tablet killed":
            self._soon(self._kill_later(tablet, 0, do))
        elif do == "server killed":
            self._soon(self._restart_later(chance.uniform(*UP_S), do))
        elif do != "offline_day":
            self._ail(do, tablet, more[0])

    def _arm(self, tablet: TabletEnd, chance: random.Random, fault: str = "", at: int = 0) -> None:
        """What a plan lets happen in a round."""
        if fault in NETWORK["L3"]:
            tablet.proxy.armed = (fault, at)
        elif fault.startswith("server_crash"):
            self._soon(self._restart_later(chance.uniform(0, 0.5), "server killed in a round"))
        elif fault == "device_crash":
            self._soon(self._kill_later(tablet, chance.uniform(0, 0.5), "tablet killed in a round"))
        elif fault:
            who, _, what = fault.partition("_")
            self._ail(f"{who}'s {WORN[what]}", tablet, chance.uniform(0.1, 1.0))

    async def _restart_later(self, up_s: float, name: str) -> None:
        """Kill it once it was up for so long; while it is to be killed already, that is that one."""
        if self._is_condemned:
            return
        self._is_condemned = True
        try:
            await asyncio.sleep(max(0.0, self._up_since_s + up_s - time.monotonic()))
            await self._restart(name)
        finally:
            self._is_condemned = False

    async def _kill_later(self, tablet: TabletEnd, wait_s: float, name: str) -> None:
        await asyncio.sleep(wait_s)
        self.faults[name] += tablet.kill()

    # --- what ails for a while --------------------------------------------------------------------

    def _ail(self, fault: str, tablet: TabletEnd, lasts_s: float) -> None:
        who, _, what = fault.partition(" ")
        is_server = not who.startswith("tablet")
        if is_server:
            self._trouble(lasts_s)
        if fault.startswith("PostgreSQL") or (
            is_server and self.postgres is not None and "clock" not in what
        ):
            self._ail_postgres(fault, lasts_s)
            return
        disk, ailments = (self.data, self.ailments) if is_server else (tablet.disk, tablet.ailments)
        match what:
            case "stopped for a while":
                self._soon(self._stop(self._pid(tablet, is_server), fault, lasts_s))
            case "disk full":
                self._soon(self._full(disk, ailments, fault, lasts_s))
            case "disk fails to write" | "disk fails to sync":
                kind = "I/O error" if "write" in what else "fsync error"
                self._soon(self._unwell(ailments, kind, fault, lasts_s))
            case "file locked":
                self._soon(self._lock(self.world.server.file if is_server else tablet.file, fault, lasts_s))
            case "clock off":
                shift = self.chance.randint(-SERVER_CLOCK_MS, SERVER_CLOCK_MS)
                ailments.shift_ms = self.chance.choice((shift, 0))
                self.world.ms += max(0, shift)
                self.faults[fault] += 1
            case _:
                raise AssertionError(fault)

    def _pid(self, tablet: TabletEnd, is_server: bool) -> int | None:
        if is_server:
            return self.server.pid if self.server.is_running else None
        process = tablet.process
        return process.pid if process is not None and process.returncode is None else None

    async def _stop(self, pid: int | None, fault: str, lasts_s: float) -> None:
        """SIGSTOP, with all its children, and SIGCONT."""
        if pid is None:
            return
        pids = [pid, *_children(pid)]
        self.faults[fault] += 1
        _signal(pids, signal.SIGSTOP)
        await asyncio.sleep(lasts_s)
        _signal(pids, signal.SIGCONT)

    async def _full(self, disk: Disk, ailments: Ailments | None, fault: str, lasts_s: float) -> None:
        if not disk.is_own and ailments is not None:
            await self._unwell(ailments, "full", fault, lasts_s)
        elif disk.is_own:
            disk.fill()
            self.faults[fault] += 1
            await asyncio.sleep(lasts_s)
            disk.free()

    async def _unwell(self, ailments: Ailments, kind: str, fault: str, lasts_s: float) -> None:
        before = ailments.met
        ailments.set(kind)
        await asyncio.sleep(lasts_s)
        ailments.set("well")
        self.faults[fault] += 1
        self.sometimes[f"{fault}, and something failed"] += ailments.met > before

    async def _lock(self, file: Path, fault: str, lasts_s: float) -> None:
        """Somebody else holds the file's lock, now and then for longer than anybody waits."""
        lasts_s *= self.chance.choice((1, 1, 1, 5))
        with (
            contextlib.suppress(sqlite3.OperationalError),
            contextlib.closing(sqlite3.connect(f"file:{file}?mode=rw", uri=True, timeout=0)) as held,
        ):
            held.execute("BEGIN IMMEDIATE")
            self.faults[fault] += 1
            await asyncio.sleep(lasts_s)
            held.rollback()

    def _ail_postgres(self, fault: str, lasts_s: float) -> None:
        """What befalls the server's disk befalls its database's."""
        assert self.postgres is not None
        assert self.postgres_disk is not None
        if fault == "server stopped for a while":
            self._soon(self._stop(self._pid(next(iter(self.tablets.values())), True), fault, lasts_s))
        elif fault == "PostgreSQL stopped for a while":
            self._soon(self._stop(self.postgres.pid if self.postgres.is_running else None, fault, lasts_s))
        elif "full" in fault:
            self._soon(self._full(self.postgres_disk, None, "PostgreSQL's disk full", lasts_s))
        elif "locked" in fault:
            self._soon(self._lock_postgres(lasts_s))
        else:  # of its own disk nothing else can be made to fail
            self._soon(self._stop_postgres())

    async def _stop_postgres(self) -> None:
        """SIGQUIT, as `pg_ctl -m immediate stop`: no checkpoint, its log is replayed when it starts."""
        async with self._serving:
            assert self.postgres is not None
            self._trouble(5)
            self.faults["PostgreSQL stopped at once"] += 1
            await asyncio.to_thread(self.postgres.stop)
            await asyncio.sleep(self.chance.uniform(0, 1.5))
            await asyncio.to_thread(self._start_postgres)
            self._trouble(1)

    def _start_postgres(self) -> None:
        assert self.postgres is not None
        begun = time.monotonic()
        while True:
            try:
                return self.postgres.start()
            except RuntimeError:  # its disk is full
                self.sometimes["PostgreSQL could not start"] += 1
                if time.monotonic() - begun > START_S_MAX:
                    raise
                self.postgres.stop()
                time.sleep(0.3)

    async def _lock_postgres(self, lasts_s: float) -> None:
        assert self.postgres is not None
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            held = await asyncpg.connect(self.postgres.url, timeout=5)
            async with held.transaction():
                await held.execute("SELECT * FROM chain FOR UPDATE")
                self.faults["PostgreSQL's lock held"] += 1
                await asyncio.sleep(lasts_s)
            await held.close()

    # --- people -----------------------------------------------------------------------------------

    async def _work_office(self) -> None:
        while True:
            do, draw, more = await self._office.get()
            try:
                await self._at_office(do, draw, more)
            except Offline:
                self.sometimes["head office got no answer"] += 1
            except Exception as error:
                self.failures.append(error)

    async def _at_office(self, do: str, draw: int, more: list[Any]) -> None:
        world = self.world
        world.random.seed(draw)
        world.now_ms()
        if do == "revoke":
            await asyncio.to_thread(world.revoke, self.tablets[more[0]].device)
        elif do == "back_up_server":
            await self._back_up_server()
        elif do == "restore_server":
            await self._restore_server()
        elif do == "attack":
            await asyncio.to_thread(world.do_attack)
        elif do != "late":  # that is the line's to do
            await asyncio.to_thread(world.head_office_deeds[do], world)
            self.sometimes[f"head office: {do}"] += 1

    async def _back_up_server(self) -> None:
        made = await asyncio.to_thread(self._command, "backup", str(self.folder / "backup"))
        if made is not None:
            self._backup = Path(str(made["file"]))

    def _command(self, *given: str) -> dict[str, object] | None:
        try:
            return self.server.run(*given)
        except AssertionError:
            self.sometimes[f"{given[0]} failed"] += 1
            if not self.world.is_troubled:
                raise
            return None

    async def _restore_server(self) -> None:
        if self._backup is None:
            return
        async with self._serving:
            self._trouble(10)
            before = await asyncio.to_thread(self._logged)
            await asyncio.to_thread(self.world.note_persons)
            if self.server.is_running:
                self.server.kill()
            if self.world.shore is not None:
                await asyncio.to_thread(self.world.shore.look_away)
            for _ in range(20):
                if await asyncio.to_thread(self._command, "restore", str(self._backup)) is not None:
                    self.faults["server restored"] += 1
                    break
                self._trouble(10)
                await asyncio.sleep(0.5)
            self.world._told_of = 0
            await self._note_lost(before)
            await self._start_server()
            self._trouble(1)

    def _logged(self) -> set[str]:
        sql = "SELECT DISTINCT lower(hex(cid)) FROM log WHERE body IS NOT NULL"
        return {cid for (cid,) in self.world.log(sql)}

    async def _note_lost(self, cids: set[str]) -> None:
        """Of these changes, whose file was copied over: those that no other file holds."""
        held = await asyncio.to_thread(self._logged)
        for tablet in self.tablets.values():
            held |= tablet.outbox()
        self.world.lost |= cids - held

    async def back_up(self, tablet: TabletEnd) -> None:
        await tablet.stop()
        copy = self.folder / f"copy-{tablet.index}"
        copy.mkdir(exist_ok=True)
        copy_files(tablet.file, copy / tablet.file.name)
        self._copies[tablet.index] = copy / tablet.file.name

    async def restore(self, tablet: TabletEnd) -> None:
        copy = self._copies.get(tablet.index)
        if copy is None:
            return
        await tablet.stop()
        before = tablet.outbox()
        copy_files(copy, tablet.file)
        self.faults["tablet restored"] += 1
        self.world.faults["tablet restored"] += 1
        with contextlib.suppress(Offline):
            await self._note_lost(before)
            return
        self.world.lost |= before  # nobody can say what the server has

    async def clone(self, tablet: TabletEnd, slot: int) -> None:
        if not tablet.file.exists():
            return
        await tablet.stop()
        other = await self._place(slot, {"unit": 0, "sensitive": tablet.sensitive, "is_old": tablet.is_old})
        other.numbers, other.unit = tablet.numbers, tablet.unit
        other.device, other.token = tablet.device, tablet.token
        copy_files(tablet.file, other.file)
        other.proxy.rate = self.scenario.rate
        other.work()
        self.faults["tablet cloned"] += 1
        self.world.faults["tablet cloned"] += 1

    async def revoke(self, tablet: TabletEnd) -> None:
        self._office.put_nowait(("revoke", 0, [tablet.index]))

    async def upgrade(self, tablet: TabletEnd) -> None:
        await tablet.stop()
        self.faults["tablet upgraded"] += tablet.is_old
        tablet.is_old = False

    # --- rest -------------------------------------------------------------------------------------

    async def settle(self, progress: Callable[[float], None]) -> None:
        """Faults end, nobody writes any more: all must come to rest."""
        for tablet in list(self.tablets.values()):
            await tablet.end_work()
        while self._ending:
            await asyncio.gather(*self._ending)
        begun = time.monotonic()
        self.ailments.set("well")
        for disk in (self.data, self.postgres_disk):
            if disk is not None:
                disk.free()
        if not self.server.is_running:
            await self._restart("", is_killed=False)
        if self.failures:
            raise self.failures[0]
        for tablet in self.tablets.values():
            tablet.ailments.set("well")
            tablet.disk.free()
            tablet.proxy.rate, tablet.proxy.armed = 0.0, None
            tablet.proxy.part("none")
            tablet.online_until_s = 0.0
            if tablet.is_old:
                await self.upgrade(tablet)
        before: dict[int, Any] | None = None
        waiting: list[Any] = []
        for _ in range(SETTLE_ROUNDS):
            await asyncio.gather(*(self._drain(tablet) for tablet in self.tablets.values()))
            progress(time.monotonic() - begun)
            digests = {index: tablet.said["digests"] for index, tablet in self.tablets.items()}
            waiting = [(i, t.said) for i, t in self.tablets.items() if not self._is_at_rest(t)]
            if not waiting and digests == before:
                break
            before = digests
            self.check(time.monotonic() - begun < SETTLE_S_MAX, "it took too long to come to rest", waiting)
        else:
            told = [(i, {**said, "digests": None}) for i, said in waiting]
            self.check(False, "a tablet never comes to rest", told)
        self.settled_s = time.monotonic() - begun

    async def _drain(self, tablet: TabletEnd) -> None:
        said = await tablet.do({"do": "drain"})
        if said is None or said["problem"] in PAIRS_ANEW:
            await tablet.pair()
            said = await tablet.do({"do": "drain"})
        self.check(said is not None, "a tablet's process ended", tablet.index)
        assert said is not None
        tablet.said = said

    def _is_at_rest(self, tablet: TabletEnd) -> bool:
        said = tablet.said
        token = self.world.server.tokens[tablet.token]
        if token.revoked:
            return True
        return bool(said["equal"]) and not said["pending"] and not said["lost"]

    async def close(self) -> None:
        """End every process that is still there."""
        for task in list(self._ending):
            task.cancel()
        await asyncio.gather(*self._ending, return_exceptions=True)
        for tablet in self.tablets.values():
            await tablet.end_work()
            tablet.disk.free()
            if tablet.process is not None and tablet.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    tablet.process.send_signal(signal.SIGCONT)
            process, ending = tablet.process, asyncio.create_task(tablet.stop())
            if not (await asyncio.wait([ending], timeout=END_S))[0] and process is not None:
                process.kill()
            await asyncio.gather(ending, return_exceptions=True)
            await tablet.proxy.close()
        if self.server.is_running:
            os.kill(self.server.pid, signal.SIGCONT)
            self.server.stop()

    # --- what came of it --------------------------------------------------------------------------

    def judge(self) -> dict[str, Any]:
        """The oracle's word on what the processes left behind, and the counts."""
        world = self.world
        world.server.trouble.end()
        acked = {cid for tablet in self.tablets.values() for cid in tablet.wrote}
        logged = Counter(
            dict(world.log("SELECT lower(hex(cid)), count(*) FROM log WHERE body IS NOT NULL GROUP BY cid"))
        )
        kept = {cid for tablet in self.tablets.values() for cid in tablet.outbox()}
        given = [
            {
                "index": tablet.index,
                "numbers": tablet.numbers,
                "unit": tablet.unit,
                "sensitive": tablet.sensitive,
                "folder": tablet.disk.folder,
                "wrote": tablet.wrote,
                "token": tablet.token,
            }
            for tablet in self.tablets.values()
        ]
        counts = {
            "acknowledged": len(acked),
            "lost": sorted(acked - logged.keys() - world.lost - kept),
            "doubled": sorted(cid for cid, times in logged.items() if times > 1),
        }
        try:
            world.judge(given)
        finally:
            world.end()
        return counts

    def report(self) -> dict[str, Any]:
        """What happened, by name."""
        network: Counter[str] = Counter()
        for tablet in self.tablets.values():
            network += tablet.proxy.met
        if hasattr(self, "world"):
            self.faults += Counter({n: c for n, c in self.world.faults.items() if n.startswith("liar")})
            self.faults["tablet revoked"] += self.world.faults["tablet revoked"]
        return {
            "engine": self.scenario.engine,
            "seed": self.scenario.seed,
            "seconds": self.scenario.seconds,
            "tablets": len(self.tablets),
            "transactions": self.transactions,
            "settled_s": round(self.settled_s, 1),
            "disk full": self._fullness(),
            "faults": dict(sorted((+self.faults).items())),
            "network": dict(sorted((+network).items())),
            "refused on the tablet": dict(self.refused),
            "syncs": dict(self.reports),
            "sometimes": dict(sorted((+self.sometimes).items())),
        }

    def _fullness(self) -> str:
        if self.data.is_own:
            return "real: small disks in memory"
        return "SQLite's VFS says so; PostgreSQL's can't be"


PEOPLE: dict[str, Any] = {
    "back_up": Chain.back_up,
    "restore": Chain.restore,
    "clone": Chain.clone,
    "revoke": Chain.revoke,
    "upgrade": Chain.upgrade,
}
WORN = {"full": "disk full", "io_error": "disk fails to write", "locked": "file locked"}


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _signal(pids: list[int], what: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, what)
