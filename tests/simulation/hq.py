"""Head office in a simulation: the real storage and admission on a real file, without a web server.

`serve` does what the endpoints of `/sync/v1` do, with the same functions and the same bytes. The
file's driver can be told to crash before or after a commit; the process is then started anew.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import msgspec

from regulars_schema.entities import REGISTRY
from regulars_server import snapshot_endpoint
from regulars_server.access.counts import MemoryCounts
from regulars_server.access.throttle import Tally
from regulars_server.admission import Admission
from regulars_server.ageing import Ageing
from regulars_server.authors import SERVER, Posting, device_author
from regulars_server.downloads import FileStretch
from regulars_server.lookup import look_up
from regulars_server.pull import pull
from regulars_server.settings import Settings
from regulars_server.snapshots import Snapshots
from regulars_server.storage.interface import Storage
from regulars_server.storage.sqlite import SqliteStorage
from regulars_server.storage.sqlite.connection import InlineConnection
from regulars_sync.changes import Change, Stated, Value
from regulars_sync.errors import Refused, RegularsError
from regulars_sync.protocol import (
    PUSH_CHANGES_MAX,
    Contact,
    DigestRequest,
    LookupAnswer,
    LookupRequest,
    PairAnswer,
    PairRequest,
    Problem,
    PullRequest,
    PushRequest,
)
from regulars_sync.reconcile import Author, Ruling
from tests.simulation.by_hand import run
from tests.simulation.trouble import Trouble, troubled

T = TypeVar("T")
BACKUP_DAYS = 30


class ServerCrash(BaseException):
    """The server's process ended here."""


class EagerLoop:
    """The event loop of a program in which nothing ever waits: a task is done when it is made."""

    def create_task(self, coro: Any, **named: Any) -> Any:
        future: asyncio.Future[Any] = asyncio.Future(loop=_LOOP)
        try:
            future.set_result(run(coro))
        except BaseException as error:
            future.set_exception(error)
        return future

    def call_soon(self, *given: Any, **named: Any) -> Any:
        """Nobody is called back, since nobody waits."""

    def get_debug(self) -> bool:
        return False


_LOOP: Any = EagerLoop()


@contextmanager
def eager_loop() -> Iterator[None]:
    """Let coroutines find that loop where they ask for the running one."""
    asyncio._set_running_loop(_LOOP)
    try:
        yield
    finally:
        asyncio._set_running_loop(None)


async def at_once(work: Callable[..., Any], /, *given: Any) -> Any:
    return work(*given)


async def never() -> bool:
    return False


class CrashingConnection(InlineConnection):
    """A driver that ends the process at a chosen moment."""

    def __init__(self, connection: sqlite3.Connection, fuse: Fuse, trouble: Trouble) -> None:
        super().__init__(troubled(connection, trouble))
        self._fuse = fuse

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        fuse = self._fuse
        if fuse.before is not None:
            fuse.before -= 1
            if fuse.before < 0:
                fuse.before = None
                raise ServerCrash
        connection = self._connection
        was_open = connection.in_transaction
        result = work(connection)
        if fuse.after is not None and was_open and not connection.in_transaction:
            fuse.after -= 1
            if fuse.after < 0:
                fuse.after = None
                raise ServerCrash
        return result


@dataclass
class Fuse:
    """When the server is to crash: before that many further operations, or after so many commits."""

    before: int | None = None
    after: int | None = None


@dataclass
class Token:
    device: str
    unit: str
    sensitive: bool
    revoked: bool = False


class HeadOffice:
    def __init__(
        self,
        path: Path,
        now_ms: Callable[[], int],
        entropy: Callable[[int], bytes],
        page_rows: int,
        snapshot_rows_min: int | None,
    ) -> None:
        self.path = path
        self.backup = path.with_suffix(".backup")
        self.now_ms = now_ms
        self.entropy = entropy
        self.page_rows = page_rows
        self.snapshot_rows_min = snapshot_rows_min
        """None: there are no snapshots."""
        self.fuse = Fuse()
        self.trouble = Trouble()
        self.tokens: dict[str, Token] = {}
        self.invited: dict[str, Token] = {}
        self.starts = 0
        self.storage: Storage
        self.admission: Admission
        self.start()

    # --- the process ------------------------------------------------------------------------------------

    def start(self) -> None:
        async def connect(opener: Callable[[], sqlite3.Connection]) -> CrashingConnection:
            return CrashingConnection(opener(), self.fuse, self.trouble)

        self.fuse.before = self.fuse.after = None
        self.trouble.end()
        self.storage = SqliteStorage(self.path, REGISTRY, self.entropy, readers=1, connect=connect)
        run(self.storage.open())
        self.admission = Admission(self.storage, self.now_ms, self.entropy)
        run(self.admission.sweep())
        self.service: Any = SimpleNamespace(
            admission=self.admission,
            now_ms=self.now_ms,
            entropy=self.entropy,
            lookups=Tally(MemoryCounts()),
            settings=Settings(),
        )
        self.snapshots = Snapshots(
            Settings(data=self.path.parent, snapshot_rows_min=self.snapshot_rows_min or 0),
            self.storage,
            self.now_ms,
            self.entropy,
            lambda: False,
            at_once,
        )
        self.ageing = Ageing(self.storage, self.admission, self.now_ms, self.entropy)
        self.starts += 1

    def stop(self) -> None:
        run(self.storage.close())

    def look(self, sql: str, given: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """For whoever only looks, and is no part of what is tried."""
        writer: Any = self.storage._writer  # type: ignore[attr-defined]
        return writer._connection.raw.execute(sql, given).fetchall()  # type: ignore[no-any-return]

    def restart(self) -> None:
        self.stop()
        self.start()

    def back_up(self) -> None:
        self.stop()
        shutil.copyfile(self.path, self.backup)
        self.start()

    def restore(self) -> None:
        self.stop()
        for suffix in ("-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        shutil.copyfile(self.backup, self.path)
        self.start()

    # --- the endpoints ----------------------------------------------------------------------------------

    def serve(self, path: str, body: bytes, bearer: str | None) -> tuple[int, bytes]:
        """Status and body of the answer; `ServerCrash` may come out of it."""
        try:
            match path:
                case "/sync/v1/pull":
                    return self._pull(msgspec.json.decode(body, type=PullRequest), self.tokens[bearer or ""])
                case "/sync/v1/digest":
                    return self._pull(
                        msgspec.json.decode(body, type=DigestRequest), self.tokens[bearer or ""]
                    )
                case "/sync/v1/push":
                    return self._push(msgspec.json.decode(body, type=PushRequest), self.tokens[bearer or ""])
                case "/sync/v1/lookup":
                    asked = msgspec.json.decode(body, type=LookupRequest)
                    return 200, msgspec.json.encode(self._look_up(asked, self.tokens[bearer or ""]))
                case "/sync/v1/pair":
                    return 200, msgspec.json.encode(self._pair(msgspec.json.decode(body, type=PairRequest)))
                case "/sync/v1/wiped":
                    return 200, b'{"wiped_at":"2026-11-22T10:00:00.000Z"}'
            raise AssertionError(path)
        except Refused as refused:
            return _problem(refused)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _problem(Refused("body_invalid", reason=str(error)[:200]))
        except sqlite3.Error:
            if not self.trouble.met:
                raise
            return _problem(Refused("internal", incident="0"))

    def fetch(self, bearer: str, start: int, etag: str | None) -> tuple[int, Mapping[str, str], bytes]:
        """A snapshot from a byte on: status, headers and body; `ServerCrash` may come out of it."""
        token = self.tokens[bearer]
        try:
            if token.revoked:
                raise Refused("device_revoked")
            if self.snapshot_rows_min is None:
                raise Refused("snapshot_none")
            found = run(self.snapshots.get(self.author(token).scopes or frozenset()))
        except Refused as refused:
            status, body = _problem(refused)
            return status, {}, body
        except sqlite3.Error:
            if not self.trouble.met:
                raise
            return 500, {}, _problem(Refused("internal", incident="0"))[1]
        headers = {"range": f"bytes={start}-", "if-range": etag} if start and etag else {}
        request: Any = SimpleNamespace(headers=headers)
        with found.file.open("rb") as file:
            answer = snapshot_endpoint._answer(request, found, file, never)
            if not isinstance(answer, FileStretch):
                return answer.status_code, answer.headers, b""
            file.seek(answer._start)
            return answer.status_code, answer.headers, file.read(answer._end - answer._start)

    def author(self, token: Token) -> Author:
        tree = run(self.admission.tree())
        posting = run(self.admission.posting(token.device)) or Posting(token.unit)
        return device_author(tree, token.device, posting, token.sensitive, token.revoked)

    def _pair(self, asked: PairRequest) -> PairAnswer:
        token = self.invited.pop(asked.code)
        bearer = self.entropy(8).hex()
        self.tokens[bearer] = token
        country = run(self.admission.tree()).country(token.unit)
        return PairAnswer(bearer, token.device, token.unit, self.storage.chain.id, country)

    def _look_up(self, asked: LookupRequest, token: Token) -> LookupAnswer:
        if token.revoked:
            raise Refused("device_revoked")
        principal: Any = SimpleNamespace(token=token.device, device=token.device, staff=None)
        author = self.author(token)
        return LookupAnswer(run(look_up(self.service, principal, author, asked.field, asked.key)))

    def _pull(self, asked: PullRequest, token: Token) -> tuple[int, bytes]:
        author = self.author(token)
        try:
            if token.revoked:
                raise Refused("device_revoked")
            return 200, run(pull(self.storage, author, asked, self.now_ms(), self.page_rows, BACKUP_DAYS))
        except Refused as refused:
            return _problem(refused, Contact(self.now_ms(), run(self._acks(author, asked))))

    async def _acks(self, author: Author, asked: PullRequest) -> dict[str, Any]:
        async with self.storage.reader(author.scopes or frozenset()) as reader:
            return await reader.acks(author.device or "", asked.acked)

    def _push(self, asked: PushRequest, token: Token) -> tuple[int, bytes]:
        if not 0 < len(asked.changes) <= PUSH_CHANGES_MAX or asked.n < 1:
            raise Refused("body_invalid", reason="n counts from 1")
        return 200, msgspec.json.encode(run(self.admission.push(self.author(token), asked)))

    # --- people at head office ------------------------------------------------------------------------------

    def decided(self, work: Coroutine[Any, Any, None]) -> str:
        """What became of a decision of who is who."""
        try:
            run(work)
        except Refused as refused:
            return refused.code
        return "ok"

    def write(
        self,
        op: str,
        entity: str,
        id: str,
        fields: dict[str, Any],
        seen: dict[str, list[str]] | None = None,
        replaces: str | None = None,
    ) -> Ruling | None:
        """One change; None when it was refused as a whole."""
        cid = self.entropy(16).hex()
        change = Change(
            cid=cid,
            group=cid,
            op=op,  # type: ignore[arg-type]
            entity=entity,
            id=id,
            fields={path: Value(value) for path, value in fields.items()},
            seen=seen or {},
            stated=Stated(self.now_ms()),
            schema=REGISTRY.version,
            replaces=replaces,
        )
        try:
            ((ruling,),) = run(self.admission.write(SERVER, [[change]]))
        except RegularsError:
            return None
        return ruling


def _problem(refused: Refused, contact: Contact | None = None) -> tuple[int, bytes]:
    said = Problem(refused.code, "", refused.detail, refused.retryable, contact)
    return refused.status, msgspec.json.encode(said)
