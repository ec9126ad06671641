"""What others take for the same work: `make bench-peers`. Needs node and npm; not in CI.

PostGraphile, Kinto and PouchDB, installed below build/peers by their own package managers, pinned; those
that keep rows in PostgreSQL are given the wheel's. Each serves in a process of its own and is sent the same
rows, 500 a request, by one client; rows and requests are made before the clock runs. Writes bench/PEERS.md,
which also says what none of them does.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Protocol

import asyncpg
import msgspec
import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import data, graph, report, wires
from bench.figures import LIST, ONE
from bench.postgres import Postgres, postgres
from bench.server import ROOT, SETTLE_S, Wire, cpu_ms_of, running
from bench.workload import Workload, pushes
from regulars_schema.declare import JSON
from regulars_server.app import wall_ms
from regulars_sync.changes import Change
from tests.support.postgres import free_port, in_own_loop

PLACE = ROOT / "build" / "peers"
NODE = ROOT / "bench" / "node"
KINTO = "26.5.0"
BATCH = 500
CUSTOMERS, INTERACTIONS, UPDATES, CHANGED, LISTED = 2_000, 10_000, 2_000, 200, 1_000
START_S_MAX = 60.0
WORKS = {
    "insert": f"insert of {INTERACTIONS:,} interactions",
    "update": f"update of {UPDATES:,} customers",
    "catch-up": f"catch-up of {CHANGED} rows",
    "list": f"list of {LISTED:,} customers x 15 fields + home unit",
    "one": "one customer by id",
}
REQUESTS = {"catch-up": 10, "list": 5, "one": 50}
LACKS = {
    "PostGraphile": "merge (the last write stands), scopes for tablets, verdicts, a log, a proof of what a"
    " replica holds; its catch-up is an SQL function that we gave it",
    "Kinto": "merge of fields (an outdated write is refused as a whole), scopes within a collection,"
    " relations (the client asks for the units itself), a log, a proof",
    "PouchDB": "merge (the losing revision waits until somebody resolves it), scopes within a database,"
    " relations (the client asks for the units itself), lists of some fields, a proof",
}
CUSTOMER = [
    "name",
    "kind",
    "home_unit",
    "owner",
    "gender",
    "address",
    "acquisition_channel",
    "first_seen",
    "preferred_channel",
    "notes",
    "member_no",
    "wechat",
    "archived",
]
INTERACTION = [
    "kind",
    "at",
    "unit",
    "staff",
    "channel",
    "party",
    "stage_reached",
    "outcome",
    "effort_min",
    "note",
    "lines",
]
_TYPES = {"archived": "boolean", "home_unit": "uuid REFERENCES peers.unit"}
TABLES = f"""
CREATE SCHEMA peers;
CREATE SEQUENCE peers.seq;
CREATE TABLE peers.unit(id uuid PRIMARY KEY, name text, kind text);
CREATE TABLE peers.customer(id uuid PRIMARY KEY, seq bigint NOT NULL DEFAULT nextval('peers.seq'),
    {", ".join(f"{name} {_TYPES.get(name, 'text')}" for name in CUSTOMER)});
CREATE INDEX ON peers.customer(seq);
CREATE TABLE peers.interaction(id uuid PRIMARY KEY, kind text, at text, unit uuid REFERENCES peers.unit,
    staff text, channel text, party json, stage_reached int, outcome text, effort_min int, note text,
    lines json);
CREATE FUNCTION peers.touch() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.seq := nextval('peers.seq'); RETURN NEW; END $$;
CREATE TRIGGER touched BEFORE UPDATE ON peers.customer FOR EACH ROW EXECUTE FUNCTION peers.touch();
CREATE FUNCTION peers.head() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT max(seq) FROM peers.customer';
CREATE FUNCTION peers.customers_since(past bigint) RETURNS SETOF peers.customer LANGUAGE sql STABLE AS
    'SELECT * FROM peers.customer WHERE seq > past ORDER BY seq';
"""

Row = dict[str, JSON]
Request = tuple[str, str, bytes]
"""Method, path and body."""


class Http:
    """A keep-alive connection; its server's CPU."""

    def __init__(self, port: int, pid: int, headers: dict[str, str], beside: Postgres | None) -> None:
        self.connection = HTTPConnection("127.0.0.1", port, timeout=300)
        self._pid = pid
        self._headers = {"Content-Type": "application/json", **headers}
        self._beside = beside

    def send(self, request: Request) -> Any:
        """What the answer's JSON says; `RuntimeError` for one that is a failure."""
        method, path, body = request
        self.connection.request(method, path, body, self._headers)
        answer = self.connection.getresponse()
        said = answer.read()
        if answer.status >= 300 or said.startswith(b'{"errors"'):
            raise RuntimeError(f"{path}: {answer.status} {said[:600]!r}")
        return said

    def ask(self, request: Request) -> Any:
        return orjson.loads(self.send(request))

    def cpu_ms(self) -> float:
        return cpu_ms_of(self._pid) + (self._beside.cpu_ms() if self._beside else 0.0)


class Peer(Protocol):
    name: str

    def fill(self, http: Http, units: Sequence[Row], customers: Sequence[Row]) -> None:
        """Bring these in; not measured."""
        ...

    def insert(self, rows: Sequence[Row]) -> list[Request]: ...
    def update(self, http: Http, rows: Sequence[Row]) -> list[Request]:
        """Rows are an id and the fields that change."""
        ...

    def head(self, http: Http) -> str:
        """From where a catch-up asks."""
        ...

    def catch_up(self, since: str) -> list[Request]: ...
    def listing(self) -> list[Request]: ...
    def one(self, id: str) -> list[Request]: ...
    def counted(self, work: str, answers: Sequence[Any]) -> int:
        """How many rows the answers hold, or say that they wrote."""
        ...


def _batches(rows: Sequence[Row], size: int = BATCH) -> Iterator[Sequence[Row]]:
    return (rows[at : at + size] for at in range(0, len(rows), size))


def _post(path: str, said: object) -> Request:
    return "POST", path, orjson.dumps(said)


class Postgraphile:
    name = "PostGraphile"

    def fill(self, http: Http, units: Sequence[Row], customers: Sequence[Row]) -> None:
        for entity, rows in (("unit", units), ("customer", customers)):
            for request in self._creating(entity, rows):
                assert "errors" not in http.ask(request)

    def insert(self, rows: Sequence[Row]) -> list[Request]:
        return self._creating("interaction", rows)

    def _creating(self, entity: str, rows: Sequence[Row]) -> list[Request]:
        title = entity.title()
        return [
            self._mutation(f"{title}Input!", f"create{title}(input: {{ {entity}: $v%d }})", map(_camel, some))
            for some in _batches(rows)
        ]

    def update(self, http: Http, rows: Sequence[Row]) -> list[Request]:
        given = [
            {"id": row["id"], "customerPatch": {k: v for k, v in _camel(row).items() if k != "id"}}
            for row in rows
        ]
        return [
            self._mutation("UpdateCustomerByIdInput!", "updateCustomerById(input: $v%d)", iter(some))
            for some in _batches(given)
        ]

    def _mutation(self, type_: str, field: str, values: Iterator[Any]) -> Request:
        given = {f"v{n}": value for n, value in enumerate(values)}
        names = ", ".join(f"${name}: {type_}" for name in given)
        fields = " ".join(f"f{n}: {field % n} {{ clientMutationId }}" for n in range(len(given)))
        return _post("/graphql", {"query": f"mutation({names}) {{ {fields} }}", "variables": given})

    def head(self, http: Http) -> str:
        return str(http.ask(_post("/graphql", {"query": "{ head }"}))["data"]["head"])

    def catch_up(self, since: str) -> list[Request]:
        fields = " ".join(_camel(dict.fromkeys(CUSTOMER)))
        nodes = f"nodes {{ id seq {fields} }}"
        query = f"query($past: BigInt!) {{ found: customersSince(past: $past) {{ {nodes} }} }}"
        return [_post("/graphql", {"query": query, "variables": {"past": since}})]

    def listing(self) -> list[Request]:
        fields = " ".join(_camel(dict.fromkeys(CUSTOMER)))
        node = f"id seq {fields} unitByHomeUnit {{ id name kind }}"
        return [
            _post(
                "/graphql", {"query": f"{{ found: allCustomers(first: {LISTED}) {{ nodes {{ {node} }} }} }}"}
            )
        ]

    def one(self, id: str) -> list[Request]:
        fields = " ".join(_camel(dict.fromkeys(CUSTOMER)))
        query = f"query($id: UUID!) {{ one: customerById(id: $id) {{ id seq {fields} }} }}"
        return [_post("/graphql", {"query": query, "variables": {"id": id}})]

    def counted(self, work: str, answers: Sequence[Any]) -> int:
        for answer in answers:
            if "errors" in answer:
                raise RuntimeError(f"{answer['errors'][:1]}")
        told = [answer["data"] for answer in answers]
        if work in ("insert", "update"):
            return sum(len(data) for data in told)
        return sum(1 if "one" in data else len(data["found"]["nodes"]) for data in told)


class Kinto:
    name = "Kinto"
    _at = "/v1/buckets/regulars/collections"

    def fill(self, http: Http, units: Sequence[Row], customers: Sequence[Row]) -> None:
        http.send(("PUT", "/v1/buckets/regulars", b"{}"))
        for entity, rows in (("unit", units), ("customer", customers), ("interaction", [])):
            http.send(("PUT", f"{self._at}/{entity}", b"{}"))
            for request in self._batched("PUT", entity, rows):
                http.send(request)

    def insert(self, rows: Sequence[Row]) -> list[Request]:
        return self._batched("PUT", "interaction", rows)

    def update(self, http: Http, rows: Sequence[Row]) -> list[Request]:
        return self._batched("PATCH", "customer", rows)

    def _batched(self, method: str, entity: str, rows: Sequence[Row]) -> list[Request]:
        return [
            _post(
                "/v1/batch",
                {
                    "defaults": {"method": method},
                    "requests": [
                        {"path": f"{self._at}/{entity}/records/{row['id']}", "body": {"data": row}}
                        for row in some
                    ],
                },
            )
            for some in _batches(rows)
        ]

    def head(self, http: Http) -> str:
        (newest,) = http.ask(("GET", f"{self._at}/customer/records?_sort=-last_modified&_limit=1", b""))[
            "data"
        ]
        return str(newest["last_modified"])

    def catch_up(self, since: str) -> list[Request]:
        return [("GET", f"{self._at}/customer/records?_since={since}", b"")]

    def listing(self) -> list[Request]:
        fields = ",".join(["id", "last_modified", *CUSTOMER])
        customers = f"{self._at}/customer/records?_limit={LISTED}&_fields={fields}"
        return [("GET", customers, b""), ("GET", f"{self._at}/unit/records", b"")]

    def one(self, id: str) -> list[Request]:
        return [("GET", f"{self._at}/customer/records/{id}", b"")]

    def counted(self, work: str, answers: Sequence[Any]) -> int:
        if work in ("insert", "update"):
            return sum(told["status"] < 300 for answer in answers for told in answer["responses"])
        return len(answers[0]["data"]) if work != "one" else 1


class Pouchdb:
    name = "PouchDB"

    def __init__(self) -> None:
        self._revisions: dict[str, Row] = {}

    def fill(self, http: Http, units: Sequence[Row], customers: Sequence[Row]) -> None:
        for entity, rows in (("unit", units), ("customer", customers), ("interaction", [])):
            http.send(("PUT", f"/{entity}", b""))
            for request in self._bulk(entity, rows):
                http.send(request)

    def insert(self, rows: Sequence[Row]) -> list[Request]:
        return self._bulk("interaction", rows)

    def update(self, http: Http, rows: Sequence[Row]) -> list[Request]:
        there = http.ask(("GET", "/customer/_all_docs?include_docs=true", b""))["rows"]
        docs = {row["id"]: row["doc"] for row in there}  # a replica has them, with their revisions
        return self._bulk("customer", [{**docs[row["id"]], **row} for row in rows])

    def _bulk(self, database: str, rows: Sequence[Row]) -> list[Request]:
        docs = [{"_id": row["id"], **{name: v for name, v in row.items() if name != "id"}} for row in rows]
        return [_post(f"/{database}/_bulk_docs", {"docs": some}) for some in _batches(docs)]

    def head(self, http: Http) -> str:
        return str(http.ask(("GET", "/customer", b""))["update_seq"])

    def catch_up(self, since: str) -> list[Request]:
        return [("GET", f"/customer/_changes?since={since}&include_docs=true", b"")]

    def listing(self) -> list[Request]:
        customers = f"/customer/_all_docs?include_docs=true&limit={LISTED}"
        return [("GET", customers, b""), ("GET", "/unit/_all_docs?include_docs=true", b"")]

    def one(self, id: str) -> list[Request]:
        return [("GET", f"/customer/{id}", b"")]

    def counted(self, work: str, answers: Sequence[Any]) -> int:
        if work in ("insert", "update"):
            return sum("rev" in told for answer in answers for told in answer)
        first = answers[0]
        return 1 if work == "one" else len(first["results" if work == "catch-up" else "rows"])


def _camel(row: Row) -> Row:
    def said(name: str) -> str:
        head, *rest = name.split("_")
        return head + "".join(part.title() for part in rest)

    return {said(name): value for name, value in row.items()}


# --- the rows ---------------------------------------------------------------------------------------------


def _row(change: Change, fields: Sequence[str]) -> Row:
    shown = {name: change.fields[name].value for name in fields if name in change.fields}
    return {"id": change.id, **dict.fromkeys(fields), **shown}


# --- starting them ------------------------------------------------------------------------------------------


def install() -> None:
    """Once; `SystemExit` says what is missing."""
    if missing := [name for name in ("node", "npm") if shutil.which(name) is None]:
        sys.exit(f"make bench-peers needs node and npm; not found: {', '.join(missing)}")
    PLACE.mkdir(parents=True, exist_ok=True)
    for script in NODE.glob("*.mjs"):
        shutil.copy(script, PLACE)
    wanted, there = NODE / "package.json", PLACE / "package.json"
    if not (PLACE / "node_modules").exists() or there.read_bytes() != wanted.read_bytes():
        command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
        shutil.copy(wanted, there)
        subprocess.run(command, cwd=PLACE, check=True)
    if not (PLACE / "kinto" / "bin" / "kinto").exists():
        subprocess.run([sys.executable, "-m", "venv", "kinto"], cwd=PLACE, check=True)
        pip = [str(PLACE / "kinto" / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, f"kinto[postgresql]=={KINTO}", "setuptools<81"], check=True)


@contextmanager
def _started(command: Sequence[str], port: int, log: Path) -> Iterator[int]:
    """The process that listens at the port."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=PLACE, stdout=out, stderr=out)
    try:
        last = time.monotonic() + START_S_MAX
        while True:
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                connection.request("GET", "/")
                connection.getresponse().read()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > last:
                    raise RuntimeError(f"{command[:3]} did not start:\n{log.read_text()[-2000:]}") from None
                time.sleep(0.2)
            finally:
                connection.close()
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def _postgraphile(folder: Path, beside: Postgres) -> Iterator[Http]:
    url, port = beside.new(), free_port()

    async def lay_out() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(TABLES)
        await connection.close()

    in_own_loop(lay_out())
    with _started(["node", "postgraphile.mjs", str(port), url], port, folder / "postgraphile.log") as pid:
        yield Http(port, pid, {}, beside)


@contextmanager
def _kinto(folder: Path, beside: Postgres) -> Iterator[Http]:
    url, port = beside.new(), free_port()
    said = folder / "kinto.ini"
    said.write_text(
        f"""[app:main]
use = egg:kinto
kinto.storage_backend = kinto.core.storage.postgresql
kinto.storage_url = {url}
kinto.permission_backend = kinto.core.permission.postgresql
kinto.permission_url = {url}
kinto.cache_backend = kinto.core.cache.memory
kinto.bucket_create_principals = system.Everyone
kinto.bucket_write_principals = system.Everyone
kinto.bucket_read_principals = system.Everyone
kinto.batch_max_requests = {BATCH}
kinto.storage_max_fetch_size = 100000
kinto.userid_hmac_secret = bench
multiauth.policies =
[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = {port}
channel_timeout = 600
max_request_body_size = 67108864
""",
        "utf-8",
    )
    programs = PLACE / "kinto" / "bin"
    subprocess.run([programs / "kinto", "migrate", "--ini", said], check=True, capture_output=True)
    with _started([str(programs / "kinto"), "start", "--ini", str(said)], port, folder / "kinto.log") as pid:
        yield Http(port, pid, {}, beside)


@contextmanager
def _pouchdb(folder: Path, beside: Postgres) -> Iterator[Http]:
    port = free_port()
    (folder / "pouchdb").mkdir()
    command = ["node", "pouchdb.mjs", str(port), f"{folder / 'pouchdb'}/"]
    with _started(command, port, folder / "pouchdb.log") as pid:
        yield Http(port, pid, {}, None)


PEERS: tuple[tuple[Peer, Any], ...] = (
    (Postgraphile(), _postgraphile),
    (Kinto(), _kinto),
    (Pouchdb(), _pouchdb),
)

# --- measuring ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Taken:
    wall_ms: float
    cpu_ms: float


Found = dict[tuple[str, str], list[Taken]]
"""By work and by who did it; of one request where it is one request."""


def _measured(http: Http, peer: Peer, work: str, requests: Sequence[Request], rows: int) -> Taken:
    times = REQUESTS.get(work, 1)
    answers = []
    cpu, begun = http.cpu_ms(), time.perf_counter()
    for _ in range(times):
        answers = [http.send(request) for request in requests]
    wall = time.perf_counter() - begun
    time.sleep(SETTLE_S)
    taken = Taken(wall * 1000 / times, (http.cpu_ms() - cpu) / times)
    came = peer.counted(work, [orjson.loads(answer) for answer in answers])
    if came != rows:
        raise RuntimeError(f"{peer.name}, {work}: {came} rows, not {rows}")
    return taken


async def measure(folder: Path, repetitions: int, progress: Progress) -> Found:
    workload = Workload(wall_ms())
    token = await data.build(folder / "chain", workload, CUSTOMERS, 0)
    admin = await graph.token(folder / "chain" / "ours")
    units: list[Row] = [{"id": workload.unit, "name": "南京新街口店", "kind": "branch"}]
    customers = [_row(change, CUSTOMER) for change in workload.customers]
    found: Found = defaultdict(list)
    with ExitStack() as stack:
        beside = stack.enter_context(postgres(folder))
        https = [stack.enter_context(start(folder, beside)) for _, start in PEERS]
        server = stack.enter_context(running("ours", folder / "chain" / "ours"))
        for (peer, _), http in zip(PEERS, https, strict=True):
            peer.fill(http, units, customers)
        task = progress.add_task("measure", total=repetitions * (len(PEERS) + 1))
        made = {change.id: change.cid for change in workload.customers}
        for n in range(repetitions):
            facts = list(workload.new_interactions(INTERACTIONS, days=7))
            edits = list(workload.edits(workload.customers[:UPDATES]))
            rows = [_row(change, INTERACTION) for change in facts]
            changed = [
                {"id": c.id, "notes": c.fields["notes"].value, "preferred_channel": f"phone {n}"}
                for c in edits
            ]
            for (peer, _), http in zip(PEERS, https, strict=True):
                for work, taken in _works(peer, http, rows, changed):
                    found[work, peer.name].append(taken)
                progress.advance(task)
            for work, taken in _ours(server, workload, token, admin, facts, edits, made):
                found[work, "Regulars"].append(taken)
            progress.advance(task)
    return found


def _works(
    peer: Peer, http: Http, rows: Sequence[Row], changed: Sequence[Row]
) -> Iterator[tuple[str, Taken]]:
    yield "insert", _measured(http, peer, "insert", peer.insert(rows), len(rows))
    yield "update", _measured(http, peer, "update", peer.update(http, changed), len(changed))
    since = peer.head(http)
    few = [{**row, "notes": f"{row['notes']}!"} for row in changed[:CHANGED]]
    for request in peer.update(http, few):
        http.send(request)
    yield "catch-up", _measured(http, peer, "catch-up", peer.catch_up(since), CHANGED)
    yield "list", _measured(http, peer, "list", peer.listing(), LISTED)
    yield "one", _measured(http, peer, "one", peer.one(str(rows and changed[0]["id"])), 1)


def _ours(
    server: Any,
    workload: Workload,
    token: str,
    admin: str,
    facts: Sequence[Change],
    edits: Sequence[Change],
    made: dict[str, str],
) -> Iterator[tuple[str, Taken]]:
    """The same on ours: each edit has seen the one before."""
    wire, asking = Wire(server.port, token), Wire(server.port, admin)
    bodies = partial(pushes, workload.rng, now_ms=workload.now_ms)

    def taken(work: Any, count: int = 1) -> Taken:
        cost = server.cost(wire, lambda: [work() for _ in range(count)])
        return Taken(cost.wall_ms / count, cost.cpu_ms / count)

    def seen(edits: Sequence[Change]) -> list[Change]:
        changes = []
        for edit in edits:
            fields = {name: edit.fields[name] for name in ("notes", "preferred_channel")}
            cid = workload.rng.randbytes(16).hex()
            seen = {name: [made[edit.id]] for name in fields}
            changes.append(msgspec.structs.replace(edit, cid=cid, group=cid, fields=fields, seen=seen))
            made[edit.id] = cid
        return changes

    sent = bodies(facts)
    yield "insert", taken(lambda: wires.require_applied(sent, wires.push(wire, "ours", sent)))
    sent = bodies(seen(edits))
    yield "update", taken(lambda: wires.require_applied(sent, wires.push(wire, "ours", sent)))
    _, cursor = wires.pull(wire, "ours")
    wires.push(wire, "ours", bodies(seen(edits[:CHANGED])))
    if wires.pull(wire, "ours", cursor)[0] != CHANGED:
        raise RuntimeError("not the rows that were changed")
    path, body = wires.pull_body("ours", cursor)
    yield "catch-up", taken(lambda: wire.post(path, body), REQUESTS["catch-up"])
    queries = graph.bodies(asking)
    yield "list", taken(lambda: asking.post("/graphql", queries[LIST]), REQUESTS["list"])
    yield "one", taken(lambda: asking.post("/graphql", queries[ONE]), REQUESTS["one"])


# --- the page -----------------------------------------------------------------------------------------------


def markdown(found: Found, repetitions: int, load: Sequence[float]) -> str:
    names = ["Regulars", *(peer.name for peer, _ in PEERS)]
    header = ("work", "", *names)
    lines = []
    for work, title in WORKS.items():
        for n, (measured, of) in enumerate((("wall", "wall_ms"), ("CPU", "cpu_ms"))):
            values = [median(getattr(taken, of) for taken in found[work, name]) for name in names]
            told = [f"{v:,.1f} ms ({v / values[0]:.2f})" for v in values]
            lines.append(("" if n else title, measured, *told))
    versions = json.loads((NODE / "package.json").read_text("utf-8"))["dependencies"]
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    machine = [
        ("what", "value"),
        ("---", "---"),
        *report.machine(load),
        ("repetitions", f"{repetitions}"),
        ("node", node),
        *versions.items(),
        ("kinto", KINTO),
    ]
    return (
        "\n\n".join(
            [
                "# Others at the same work",
                f"""Written by `make bench-peers`; not edited by hand. Medians, taken in turn; in brackets how
many times ours. CPU is that of the server's process and of PostgreSQL's where it has one (PostGraphile,
Kinto); Regulars runs on SQLite, PouchDB on LevelDB. {BATCH} rows a request; a list, a catch-up and one
customer are one request each, and a list is two for who has no relations. No peer was tuned beyond its limits
on sizes.""",
                report.rows([header, ("---", "---", *("---:" for _ in names)), *lines]),
                "## What they do not do",
                "\n".join(f"- **{name}**: {lacks}." for name, lacks in LACKS.items()),
                "## Measured on",
                report.rows(machine),
            ]
        )
        + "\n"
    )


def main(
    repetitions: Annotated[int, typer.Option(min=1)] = 3,
    out: Annotated[Path, typer.Option(help="Where to write.")] = ROOT / "bench" / "PEERS.md",
) -> None:
    """Measure PostGraphile, Kinto and PouchDB beside Regulars."""
    install()
    place = ROOT / "build" / "bench"
    place.mkdir(parents=True, exist_ok=True)
    before = os.getloadavg()[0]
    columns = (TextColumn("{task.description:16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with TemporaryDirectory(dir=place) as folder, Progress(*columns, console=Console()) as progress:
        found = asyncio.run(measure(Path(folder), repetitions, progress))
    page = markdown(found, repetitions, (before, os.getloadavg()[0]))
    out.write_text(page, "utf-8")
    print(page)


if __name__ == "__main__":
    typer.run(main)
