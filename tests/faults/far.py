"""The world of a chain whose server is a process far away: head office's deeds go over HTTP, and at the end
the same oracle examines the files and tables that the processes left behind."""

from __future__ import annotations

import random
import shutil
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import orjson

from regulars_schema.entities import REGISTRY
from regulars_server.admission import Admission
from regulars_server.storage.postgres import PostgresStorage
from regulars_server.storage.sqlite import SqliteStorage
from regulars_server.storage.sqlite.connection import InlineConnection
from regulars_sync.errors import Offline
from regulars_sync.log import Entry
from tests.simulation import deeds
from tests.simulation.attack import Liar
from tests.simulation.by_hand import run
from tests.simulation.hq import HeadOffice, Token
from tests.simulation.oracle import examine
from tests.simulation.shore import Shore
from tests.simulation.tablet import SUFFIXES, Tablet
from tests.simulation.trouble import Trouble
from tests.simulation.whole import GRAPH_DEEDS, ByGraph
from tests.simulation.world import COUNTRIES, OPEN_ENTRIES

TIMEOUT_S = 5.0
NO_DATABASES: Any = None


class Far:
    """What head office can see of its server from afar: the tables."""

    def __init__(self, file: Path, shore: Shore | None) -> None:
        self.file = file
        self.shore = shore
        self.tokens: dict[str, Token] = {}
        self.trouble = Trouble()
        self.storage = SimpleNamespace(chain=SimpleNamespace(epoch=""))

    def look(self, sql: str, given: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """`Offline` while there is nothing to look at."""
        try:
            if self.shore is not None:
                return self._look_ashore(self.shore, sql, given)
            with closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True)) as connection:
                return connection.execute(sql, given).fetchall()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, sqlite3.OperationalError) as error:
            if self.shore is not None:
                self.shore.forget()
            raise Offline("offline", reason=type(error).__name__) from error

    def _look_ashore(self, shore: Shore, sql: str, given: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """On a new connection where the one from before is gone."""
        try:
            return shore.look(sql, given)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            shore.forget()
            return shore.look(sql, given)


class Left(HeadOffice):
    """What a server left behind, as it is: nothing that waits is tried again."""

    def __init__(self, world: FarWorld) -> None:
        self._shore = world.shore
        super().__init__(world.server.file, world.now_ms, world.entropy, 100, None)

    def start(self) -> None:
        async def connect(opener: Callable[[], sqlite3.Connection]) -> InlineConnection:
            return InlineConnection(opener())

        shore = self._shore
        if shore is None:
            self.storage = SqliteStorage(self.path, REGISTRY, self.entropy, readers=1, connect=connect)
        else:
            pools = shore.pools()
            self.storage = PostgresStorage(shore.address, REGISTRY, self.entropy, open_pool=pools)
        run(self.storage.open())
        self.admission = Admission(self.storage, self.now_ms, self.entropy)

    def look(self, sql: str, given: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        if self._shore is not None:
            return self._shore.look(sql, given)
        writer: Any = self.storage._writer  # type: ignore[attr-defined]
        return writer._connection.execute(sql, given).fetchall()  # type: ignore[no-any-return]


class FarWorld(ByGraph):
    """Lane L3. `url`: where the server answers; `database`: None is a file."""

    server: Any

    def __init__(self, chain: dict[str, Any], folder: Path, url: str, database: str | None) -> None:
        self.url = url
        self.shore = Shore(NO_DATABASES, database) if database else None
        self.troubled_until_s = 0.0
        """Up to then the server may fail: something was done to it."""
        self.unanswered: list[str] = []
        super().__init__(chain, folder)
        self.head_office_deeds = {**deeds.HEAD_OFFICE_DEEDS, **GRAPH_DEEDS, "mend": graph_mend}
        self.random = random.Random(chain["seed"])

    def new_server(self, page_rows: int, snapshot_rows_min: int | None) -> Any:
        return Far(self.folder / "chain" / "chain.db", self.shore)

    def _found(self, chain: dict[str, Any]) -> None:
        """It is founded once there is a server: `begin`."""
        self.segments = []

    def now_ms(self) -> int:
        self.ms = max(self.ms, time.time_ns() // 1_000_000)
        return self.ms

    # --- head office ------------------------------------------------------------------------------

    def begin(self, chain: dict[str, Any], token: str) -> None:
        """Make the units and segments that every world has."""
        self._admin = token
        self.now_ms()
        (self.company,) = self._ids("unit", "company", "kind")
        for i in range(chain["branches"]):
            given = {
                "name": f"branch {i}",
                "kind": "BRANCH",
                "parentId": self.company,
                "country": COUNTRIES[i],
            }
            self.mutate("unitSave", {"input": ("UnitEdit!", given)})
            self.units += self._ids("unit", f"branch {i}")
        for i in range(2):
            self.mutate("segmentSave", {"input": ("SegmentEdit!", {"name": f"segment {i}"})})
            self.segments += self._ids("segment", f"segment {i}")

    def _ids(self, entity: str, said: str, path: str = "name") -> list[str]:
        rows = self.log(f"SELECT id, document FROM {entity} WHERE document IS NOT NULL")
        return [id for id, raw in rows if orjson.loads(raw).get(path) == said]

    def invite(self, unit: str, name: str, sensitive: bool) -> str:
        """A code with which a tablet may be paired."""
        self._keys += 1
        query = (
            "mutation($key: String!, $name: String!, $unit: UUID!, $sensitive: Boolean!) { deviceInvite("
            "idempotencyKey: $key, name: $name, unit: $unit, sensitive: $sensitive)"
            " { __typename ... on DeviceInvited { code } ... on Refusal { said: code } } }"
        )
        variables = {"key": f"key-{self._keys}", "name": name, "unit": unit, "sensitive": sensitive}
        asked = orjson.dumps({"query": query, "variables": variables})
        said = self.answered("deviceInvite", *self.send("/graphql", asked, self._admin))
        code = said["data"]["deviceInvite"].get("code")
        if code is None:  # it has no room, or no time
            self.check(self.is_troubled, "nobody can be invited", said)
            raise Offline("offline")
        return str(code)

    def revoke(self, device: str) -> None:
        self.mutate("deviceRevoke", {"id": ("UUID!", device)})
        self.faults["tablet revoked"] += 1
        for token in self.server.tokens.values():
            token.revoked = token.revoked or token.device == device

    def send(self, path: str, body: bytes, bearer: str) -> tuple[int, bytes]:
        """`Offline` when nobody answers, or a server to which something was done has no good answer."""
        request = urllib.request.Request(self.url + path, body, {"content-type": "application/json"})
        if bearer:
            request.add_header("authorization", f"Bearer {bearer}")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, said = error.code, error.read()
        except OSError as error:
            raise Offline("offline", reason=str(error)) from error
        if status in {429, 503} or (status >= 500 and self.is_troubled):
            raise Offline("offline", status=status)
        return status, said

    @property
    def is_troubled(self) -> bool:
        return time.monotonic() < self.troubled_until_s

    def answered(self, what: str, status: int, answer: bytes) -> dict[str, Any]:
        said: dict[str, Any] = orjson.loads(answer)
        if self.is_troubled and "errors" in said:
            self.unanswered.append(str(said["errors"])[:200])
            raise Offline("offline")
        return super().answered(what, status, answer)

    def open_entries(self) -> list[Entry]:
        sql = (
            "SELECT lower(hex(b.cid)), b.entity, b.id, b.code, b.body FROM log b"
            " WHERE b.verdict IN ('held', 'rejected') AND b.body IS NOT NULL"
            " AND NOT EXISTS (SELECT 1 FROM log e WHERE e.cid = b.cid AND e.pos > b.pos"
            " AND (e.closed = 1 OR e.verdict IN ('applied', 'merged'))) AND b.closed = 0"
            " ORDER BY b.pos LIMIT ?"
        )
        if self.shore is not None:
            sql = sql.replace("closed = 1", "closed").replace("b.closed = 0", "NOT b.closed")
        rows = self.log(sql, OPEN_ENTRIES)
        named: list[Any] = [
            SimpleNamespace(cid=cid, entity=entity, id=id, code=code, body=body)
            for cid, entity, id, code, body in rows
        ]
        return named

    def new_liar(self) -> Liar:
        code = self.invite(self.units[0], "liar", False)
        body = orjson.dumps({"code": code, "name": "liar", "schema": REGISTRY.version})
        said = orjson.loads(self.send("/sync/v1/pair", body, "")[1])
        self.server.tokens[said["token"]] = Token(said["device"], self.units[0], False)
        return Liar(self, said["device"], said["token"])

    # --- what is left behind ----------------------------------------------------------------------

    def judge(self, kept: list[dict[str, Any]]) -> None:
        """Once all processes ended: raise `Failure` at the first law that does not hold.

        `kept`: of each tablet its `index`, `numbers` of branches, `unit`, `sensitive`, `folder`, `wrote`
        and `token`.
        """
        self.is_calm = True
        self.now_ms()
        tokens = self.server.tokens
        self.server = Left(self)
        self.server.tokens = tokens
        for given in kept:
            for suffix in SUFFIXES:
                name = Path(f"tablet{given['index']}.db").with_suffix(suffix).name
                shutil.copyfile(given["folder"] / name, self.folder / name)
            tablet = Tablet(self, given["index"], given["numbers"], given["unit"], given["sensitive"])
            tablet.bearer = given["token"]
            tablet.wrote = dict.fromkeys(given["wrote"])
            self.tablets[tablet.index] = tablet
        for tablet in self.tablets.values():
            self.check_tablet(tablet)
        examine(self)
        alike: dict[Any, Any] = {}
        for tablet in self.tablets.values():
            if not tablet.revoked:
                sql = "SELECT entity, id, level, document FROM row WHERE entity <> 'change_verdict'"
                sql += " AND entity <> 'device' ORDER BY entity, id, level"
                rows = tablet.rows(sql)
                first = alike.setdefault((tablet.unit, tablet.sensitive), rows)
                self.check(rows == first, "tablets of one unit differ", tablet.index)

    def end(self) -> None:
        for tablet in self.tablets.values():
            tablet.close()
        if isinstance(self.server, HeadOffice):
            self.server.stop()
        if self.shore is not None:
            self.shore.leave()


def graph_mend(world: Any) -> str:
    """Head office puts a better change in the place of a refused one."""
    entry = deeds._held(world)
    if entry is None or entry.entity != "customer":
        return "nothing to mend"
    paths = deeds.paths_of(entry)
    given = {
        "cid": ("String!", entry.cid),
        "set": ("JSON!", {"name": world.random.choice(deeds.NAMES)}),
        "without": ("[String!]!", [path for path in paths if path in {"nickname", "gender"}]),
    }
    return str(world.mutate("heldMend", given))
