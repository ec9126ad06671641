"""The herd of a storm: a chain whose tablets were away for three days, and the process that replays them.

`found` makes the chain, `prepare` what others wrote meanwhile and the bodies of what each tablet wrote.
`python -m bench.herd FOLDER PORT SECONDS WITHIN` then is all of them at once, over sockets: each follows the
protocol as the SDK's loop does: a pull, a push, a pull, a line for wake-ups, a pull for each, and after a
refusal the wait that it was told and a random one.
"""

from __future__ import annotations

import asyncio
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import msgspec
from zstandard import ZstdDecompressor

from bench.data import BATCH
from bench.workload import Workload, pushes
from regulars.looping import BASE_S, CAP_S, GATHER_S
from regulars_schema.entities import REGISTRY
from regulars_server.app import create_service, opened, wall_ms
from regulars_server.authors import SERVER
from regulars_server.devices import enrol
from regulars_server.process import take_all_files
from regulars_server.pull import pull
from regulars_server.service import Service
from regulars_server.settings import Settings
from regulars_sync import coding, cursor, trail
from regulars_sync.changes import Change
from regulars_sync.cursor import Cursor
from regulars_sync.digest import EMPTY, add, row_hash
from regulars_sync.protocol import (
    Acked,
    PairRequest,
    Problem,
    PullAnswer,
    PullRequest,
    PushAnswer,
    PushRequest,
)

STAFF = 2
BASE_CUSTOMERS = 50
EDITS, CREATES = 0.10, 0.05
"""Of what a tablet wrote: edits of customers that all tablets of its unit hold, and new customers."""
NEW_CUSTOMERS = 0.10
"""Of the rows that came meanwhile."""
PAGE_ROWS = 2_000
LATER_MS = 3 * 86_400_000
LOOK_S = 0.2
CALM_S = 2.0
"""So long nobody has anything to do: the storm is over."""


@dataclass(frozen=True, slots=True)
class Sizes:
    tablets: int = 2_000
    """Replayed."""
    shops: int = 20
    """Real SDKs; each is one more tablet of its unit."""
    per_unit: int = 4
    changes: int = 200
    rows: int = 500
    samples: int = 40
    """Replayed tablets that keep every row, to be compared with the server at the end."""
    over_s: float = 10.0
    """All come within so many seconds."""

    @property
    def units(self) -> int:
        return -(-self.tablets // self.per_unit)


class Told(msgspec.Struct):
    """What a replayed tablet starts from."""

    token: str
    cursor: str
    incarnation: str
    cids: list[str]
    start: int
    """Where its push stands in the file of bodies, and how many bytes it has."""
    size: int
    sample: bytes | None = None
    """The page with all that it holds."""


class Outcome(msgspec.Struct):
    """What became of the herd. Seconds since the first came."""

    handed_in_s: float = 0.0
    """When the server had acknowledged the last change."""
    converged_s: float = 0.0
    """When the last row that anybody lacked had come."""
    statuses: dict[str, int] = {}
    """Answers by path and status."""
    pushes_ms: list[float] = []
    """From the request to the answer of those pushes that were taken."""
    rows: int = 0
    tries_max: int = 0
    cpu_s: float = 0.0
    rss_mib: float = 0.0
    digests: list[dict[str, tuple[int, str]]] = []
    """Of the samples, computed from the rows that came."""
    failed: list[str] = []


# --- before the storm -----------------------------------------------------------------------------------


@dataclass
class Prepared:
    branches: list[Workload]
    office: str
    """The bearer of head office."""
    codes: list[str] = field(default_factory=list)
    """Of the shops, one a unit from the first on."""
    devices: list[tuple[str, Workload]] = field(default_factory=list)


async def found(folder: Path, sizes: Sizes) -> Prepared:
    """A chain of so many units with their customers, devices paired, codes for the real tablets."""
    head = Workload(wall_ms() - LATER_MS)
    async with opened(create_service(Settings(data=folder))) as service:
        for reference in head.reference():
            await _write(service, reference)
        branches: list[Workload] = []
        units: list[Change] = []
        people: list[Change] = []
        for n in range(sizes.units):
            branch, (made_unit, staff) = head.branch(f"门店 {n:04}", STAFF)
            branches.append(branch)
            units += made_unit
            people += staff
        for part in (units, people):
            await _write(service, part)
        for n, branch in enumerate(branches):
            branch.customers.clear()
            await _write(service, branch.new_customers(BASE_CUSTOMERS, n * BASE_CUSTOMERS))
        _, office = await service.access.new_token("developer", "storm", "admin", None, False)
        made = Prepared(branches, office)
        for n in range(sizes.tablets):
            branch = branches[n // sizes.per_unit]
            code = await service.access.new_pairing_code(branch.unit, f"{n}")
            answer = await enrol(service, PairRequest(code, f"{n}", REGISTRY.version))
            made.devices.append((answer.token, branch))
        for n in range(sizes.shops):
            unit = branches[n % len(branches)].unit
            made.codes.append(await service.access.new_pairing_code(unit, f"shop {n}"))
    return made


async def prepare(folder: Path, bodies: Path, made: Prepared, sizes: Sizes) -> None:
    """What each tablet wrote, into the file `bodies`; what it starts from, beside it; what came meanwhile."""
    told: list[Told] = []
    rng = random.Random(3)
    async with opened(create_service(Settings(data=folder))) as service:
        with bodies.open("wb") as file:
            phone = 50_000_000
            for n, (token, branch) in enumerate(made.devices):
                creates, edits = int(sizes.changes * CREATES), int(sizes.changes * EDITS)
                base = list(branch.customers)
                known = rng.sample(base, min(edits, len(base)))
                drafted = [
                    *branch.new_customers(creates, phone),
                    *branch.edits(known),
                    *branch.new_interactions(sizes.changes - creates - len(known), days=3),
                ]
                branch.customers = base
                phone += creates
                (raw,) = pushes(rng, drafted, branch.now_ms + LATER_MS)
                body = coding.encode(raw, coding.ZSTD)
                is_sample = n % max(1, sizes.tablets // sizes.samples) == 0
                start, page = await _stands(service, token, is_sample)
                incarnation = msgspec.json.decode(raw, type=PushRequest).incarnation
                cids = [change.cid for change in drafted]
                told.append(Told(token, start, incarnation, cids, file.tell(), len(body), page))
                file.write(body)
        creates = int(sizes.rows * NEW_CUSTOMERS)
        for n, branch in enumerate(made.branches):
            await _write(service, branch.new_customers(creates, 90_000_000 + n * creates))
            await _write(service, branch.new_interactions(sizes.rows - creates, days=3))
    bodies.with_suffix(".told").write_bytes(msgspec.msgpack.encode(told))


async def _stands(service: Service, token: str, with_rows: bool) -> tuple[str, bytes | None]:
    """A cursor at the present head, of a tablet that has everything."""
    _, author = await service.device(token)
    if with_rows:
        asked = PullRequest(schema=REGISTRY.version, rows_max=1_000_000)
        page = await pull(service.storage, author, asked, service.now_ms(), 1_000_000, 30)
        answer = msgspec.json.decode(page, type=PullAnswer)
        if answer.head is None:
            raise RuntimeError("the first page of a sample does not hold everything")
        return answer.cursor, page
    async with service.storage.unscoped_reader() as reader:
        head = await reader.head()
    chain = service.storage.chain
    scopes = dict.fromkeys(author.scopes or (), head.seq)
    stands = Cursor(chain.id, chain.epoch, head.seq, head.mark, scopes, head.floor)
    return cursor.encode(stands, chain.secret), None


async def _write(service: Service, rows: object) -> None:
    changes = iter(rows)  # type: ignore[call-overload]
    while batch := list(islice(changes, BATCH)):
        results = await service.admission.write(SERVER, [[change] for change in batch])
        refused = [ruling for (ruling,) in results if ruling.verdict != "applied"]
        if refused:
            raise RuntimeError(f"not applied: {refused[0]}")


# --- the storm ------------------------------------------------------------------------------------------


LISTEN = "GET /sync/v1/live HTTP/1.1\r\nhost: hq\r\nauthorization: Bearer {token}\r\n\r\n"


class Page(msgspec.Struct):
    """As much of a pull's answer as a tablet needs that keeps no rows."""

    class Part(msgspec.Struct):
        rows: list[msgspec.Raw] = []

    cursor: str
    acks: dict[str, Acked] = {}
    head: dict[str, msgspec.Raw] | None = None
    pages: list[Part] = []


_page, _whole = msgspec.json.Decoder(Page), msgspec.json.Decoder(PullAnswer)
_pushed, _problem = msgspec.json.Decoder(PushAnswer), msgspec.json.Decoder(Problem)


class Herd:
    def __init__(
        self, port: int, bodies: Path, told: Sequence[Told], seconds_max: float, over_s: float
    ) -> None:
        self.port = port
        self._bodies = bodies.open("rb")
        self.told = told
        self._seconds_max = seconds_max
        self._over_s = over_s
        self.outcome = Outcome()
        self.statuses: Counter[str] = Counter()
        self.begun = 0.0
        self.busy = 0
        """Tablets that have something to do."""
        self.rng = random.Random(5)

    def body(self, told: Told) -> bytes:
        self._bodies.seek(told.start)
        return self._bodies.read(told.size)

    def now_s(self) -> float:
        return time.perf_counter() - self.begun

    async def _calm(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Until nobody has had anything to do for a while, or one of them broke."""
        calm_s = 0.0
        while calm_s < CALM_S and not any(task.done() for task in tasks):
            await asyncio.sleep(LOOK_S)
            calm_s = 0.0 if self.busy else calm_s + LOOK_S

    async def run(self) -> Outcome:
        self.begun = time.perf_counter()
        cpu = time.process_time()
        tablets = [Tablet(self, told) for told in self.told]
        self.busy = len(tablets)
        tasks = [asyncio.create_task(tablet.run()) for tablet in tablets]
        try:
            async with asyncio.timeout(self._seconds_max):
                await self._calm(tasks)
        except TimeoutError:
            self.outcome.failed.append(f"{self.busy} tablets were not done after {self._seconds_max} s")
        late = sum(not tablet.acked for tablet in tablets)
        if late:
            self.outcome.failed.append(f"of {late} tablets not everything was acknowledged")
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        self.outcome.failed += [repr(error) for error in ended if isinstance(error, Exception)][:5]
        self.outcome.statuses = dict(sorted(self.statuses.items()))
        self.outcome.cpu_s = time.process_time() - cpu
        self.outcome.rss_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self.outcome.digests = [tablet.digests() for tablet in tablets if tablet.told.sample is not None]
        return self.outcome


class Wakes(asyncio.Protocol):
    """The line of one tablet."""

    def __init__(self, on_change: object) -> None:
        self._on_change = on_change

    def data_received(self, data: bytes) -> None:
        if b"event: change" in data or b"event: ready" in data:
            self._on_change()  # type: ignore[operator]


class Tablet:
    """One of them: as the SDK's loop, without rows unless it is a sample."""

    def __init__(self, herd: Herd, told: Told) -> None:
        self.herd = herd
        self.told = told
        self._cursor = told.cursor
        self._nudged = asyncio.Event()
        self._is_busy = True
        self.acked = False
        self._line: asyncio.BaseTransport | None = None
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._hashes: dict[tuple[str, str, str], bytes] = {}
        if told.sample is not None:
            self._keep(_whole.decode(told.sample))

    async def run(self) -> None:
        await asyncio.sleep(self.herd.rng.random() * self.herd._over_s)
        listening = asyncio.create_task(self._listen())
        failures = 0
        try:
            while True:
                self._nudged.clear()
                seconds = await self._round()
                if seconds is not None:
                    failures += 1
                    self.herd.outcome.tries_max = max(self.herd.outcome.tries_max, failures)
                    await self._hang_up()
                    jitter = self.herd.rng.random() * min(CAP_S, BASE_S * 2**failures)
                    await asyncio.sleep(seconds + jitter)
                    continue
                failures = 0
                if not self._nudged.is_set():
                    self._settle(False)
                await self._nudged.wait()
                await asyncio.sleep(GATHER_S)
        finally:
            listening.cancel()
            await self._hang_up()
            if self._line is not None:
                self._line.close()

    def nudge(self) -> None:
        self._nudged.set()
        self._settle(True)

    def _settle(self, is_busy: bool) -> None:
        self.herd.busy += is_busy - self._is_busy
        self._is_busy = is_busy

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                line, _ = await loop.create_connection(lambda: Wakes(self.nudge), "127.0.0.1", self.herd.port)
                self._line = line
                line.write(LISTEN.format(token=self.told.token).encode())
                return
            except OSError:
                await asyncio.sleep(1)

    async def _round(self) -> float | None:
        """Pull, push, pull; None when all was done, else after how many seconds to try again at the least."""
        try:
            seconds = await self._pull()
            if seconds is not None or self.acked:
                return seconds
            begun = time.perf_counter()
            status, said = await self._post("/sync/v1/push", self.herd.body(self.told), coding.ZSTD)
            if status != 200:
                return self._asked(said)
            verdicts = Counter(verdict.verdict for verdict in _pushed.decode(said).verdicts)
            if set(verdicts) - {"applied", "merged"}:
                self.herd.outcome.failed.append(f"verdicts {dict(verdicts)}")
            self.herd.outcome.pushes_ms.append((time.perf_counter() - begun) * 1_000)
            return await self._pull()
        except (OSError, asyncio.IncompleteReadError):
            self.herd.statuses["no answer"] += 1
            return 0.0

    async def _pull(self) -> float | None:
        asked = PullRequest(
            schema=REGISTRY.version, cursor=self._cursor, acked={self.told.incarnation: 0}, rows_max=PAGE_ROWS
        )
        while True:
            self._nudged.clear()  # what it was told until now is in the answer
            status, said = await self._post("/sync/v1/pull", msgspec.json.encode(asked), coding.IDENTITY)
            if status != 200:
                return self._asked(said)
            page = _page.decode(said)
            came = sum(len(part.rows) for part in page.pages)
            if self.told.sample is not None:
                self._keep(_whole.decode(said))
            self._cursor = asked.cursor = page.cursor
            acked = page.acks.get(self.told.incarnation)
            if acked is not None and not self.acked and acked.n == len(self.told.cids):
                if acked.trail != _trail(self.told):
                    self.herd.outcome.failed.append("another trail than ours was acknowledged")
                self.acked = True
                self.herd.outcome.handed_in_s = self.herd.now_s()
            if came:
                self.herd.outcome.rows += came
                self.herd.outcome.converged_s = self.herd.now_s()
            if page.head is not None:
                return None

    def _keep(self, page: PullAnswer) -> None:
        class Named(msgspec.Struct):
            id: str

        for part in page.pages:
            for row in part.rows:
                id = msgspec.json.decode(row, type=Named).id
                self._hashes[part.scope, part.entity, id] = row_hash(part.entity, bytes(row))
            for id in part.left:
                self._hashes.pop((part.scope, part.entity, id), None)

    def digests(self) -> dict[str, tuple[int, str]]:
        scopes = {scope for scope, _, _ in self._hashes}
        return {
            scope: add(EMPTY, [hash for (at, _, _), hash in self._hashes.items() if at == scope])
            for scope in sorted(scopes)
        }

    @staticmethod
    def _asked(said: bytes) -> float:
        """What the loop of the SDK takes from a refusal."""
        return float(_problem.decode(said).detail.get("seconds", 0))

    async def _post(self, path: str, body: bytes, coded: str) -> tuple[int, bytes]:
        if self._streams is not None and self._streams[0].at_eof():  # idle for too long
            await self._hang_up()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.herd.port, limit=1 << 20)
        reader, writer = self._streams
        head = (
            f"POST {path} HTTP/1.1\r\nhost: hq\r\nauthorization: Bearer {self.told.token}\r\n"
            f"content-type: application/json\r\naccept-encoding: {coding.OFFERED}\r\n"
            f"content-encoding: {coded}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        try:
            writer.write(head.encode() + body)
            said = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            named = dict(line.split(": ", 1) for line in said.split("\r\n")[1:] if ": " in line)
            answer = await reader.readexactly(int(named["content-length"]))
        except BaseException:
            await self._hang_up()
            raise
        status = int(said.split(" ", 2)[1])
        self.herd.statuses[f"{path.rpartition('/')[2]} {status}"] += 1
        if named.get("content-encoding") == coding.ZSTD:
            answer = ZstdDecompressor().decompressobj().decompress(answer)
        return status, answer

    async def _hang_up(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()


def _trail(told: Told) -> str:
    at = trail.start(told.incarnation)
    for cid in told.cids:
        at = trail.extend(at, cid)
    return at


def main(folder: str, port: str, seconds_max: str, over_s: str) -> None:
    import uvloop

    take_all_files()
    bodies = Path(folder) / "bodies"
    told = msgspec.msgpack.decode(bodies.with_suffix(".told").read_bytes(), type=list[Told])
    print("ready", flush=True)
    sys.stdin.readline()
    herd = Herd(int(port), bodies, told, float(seconds_max), float(over_s))
    outcome = uvloop.run(herd.run())
    sys.stdout.buffer.write(msgspec.json.encode(outcome) + b"\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
