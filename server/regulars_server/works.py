"""Exports and imports: works that are asked for over GraphQL, done in the background, and fetched by HTTP.

    queued ─► running ─► completed ─► expired
                 │    └► failed, canceled
                 └► queued (its process ended)          any with a file ─► voided (somebody was erased)

A work is a row here and at most two files in the folder `works`: `<id>.data`, what was uploaded or made,
and `<id>.report`, what an import could not take. Any process of the chain takes the next one; one whose
process ended is taken anew from its beginning, so nothing is lost and nothing is half done: an export is one
snapshot, an import writes nothing twice. Whoever asked sees it, with the same rights, and nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterable, Callable
from pathlib import Path
from typing import Any

import orjson
from tortoise import fields
from tortoise.exceptions import IntegrityError
from tortoise.expressions import Q
from tortoise.models import Model

from regulars_server.access import Principal
from regulars_server.access.models import Database
from regulars_server.settings import Settings
from regulars_sync.errors import Refused, RegularsError

WORKS_DDL: tuple[str, ...] = (
    """
    CREATE TABLE work (
        id TEXT NOT NULL PRIMARY KEY,
        kind TEXT NOT NULL,
        owner TEXT NOT NULL,
        token TEXT NOT NULL,
        asked TEXT NOT NULL,
        state TEXT NOT NULL,
        code TEXT,
        detail TEXT,
        progress TEXT NOT NULL,
        row_count BIGINT NOT NULL,
        byte_count BIGINT NOT NULL,
        sha256 TEXT,
        rights TEXT,
        erased BIGINT NOT NULL,
        worker TEXT,
        tries BIGINT NOT NULL,
        alive_ms BIGINT NOT NULL,
        made_ms BIGINT NOT NULL,
        ended_ms BIGINT,
        expires_ms BIGINT NOT NULL
    )
    """,
    "CREATE INDEX work_by_owner ON work (owner, made_ms)",
    "CREATE INDEX work_by_state ON work (state, made_ms)",
)
PLACES_DDL: tuple[str, ...] = ("ALTER TABLE work ADD COLUMN place TEXT",)
FOLDER = "works"
PLACE = "place"
"""The file in the folder that names it."""
OPEN = ("queued", "running")
DEAD_MS = 60_000
"""A running work of which nothing was heard for so long is taken by another process."""
NOTED_MS = 5_000
"""How often an upload tells that it goes on."""
TRIES_MAX = 3
OPEN_MAX = 5
"""Works of one owner that are not done yet."""
SHOWN_MAX = 100
DAY_MS = 86_400_000


class WorkRow(Model):
    id = fields.CharField(36, primary_key=True)
    kind = fields.TextField()
    """export, upload or import."""
    owner = fields.TextField()
    token = fields.TextField()
    asked = fields.TextField()
    """JSON of what shall be done."""
    state = fields.TextField()
    code: str | None = fields.TextField(null=True)
    detail: str | None = fields.TextField(null=True)
    progress = fields.TextField()
    """JSON of what is told beside rows and bytes."""
    row_count = fields.BigIntField()
    byte_count = fields.BigIntField()
    sha256: str | None = fields.TextField(null=True)
    rights = fields.TextField(null=True)
    """With which rights it was made; whoever fetches it has the same."""
    erased = fields.BigIntField()
    """How many rows of the chain were erased when it was asked for, or begun."""
    worker = fields.TextField(null=True)
    tries = fields.BigIntField()
    alive_ms = fields.BigIntField()
    made_ms = fields.BigIntField()
    ended_ms = fields.BigIntField(null=True)
    expires_ms = fields.BigIntField()
    place = fields.TextField(null=True)
    """The folder that has its files; NULL while it has none, and of those made before there were several."""

    class Meta:
        table = "work"

    @property
    def wanted(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.asked)
        return found

    @property
    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.progress)
        return found

    @property
    def is_fetched(self) -> bool:
        """Whether there is a file for whoever asked: what was made, or what a failed import told of lines."""
        if self.kind == "upload" or self.sha256 is None:
            return False
        return self.state == "completed" or (self.state == "failed" and self.byte_count > 0)

    @property
    def error(self) -> Refused | None:
        """Why it did not come to its end."""
        if self.code is None:
            return None
        return Refused(self.code, **orjson.loads(self.detail or "{}"))


_KEPT = Q(state__in=(*OPEN, "completed")) | Q(state="failed", byte_count__gt=0)
"""Works that have files, or may have."""


def owner_of(principal: Principal) -> str:
    """Whose work it is: a person's, in whichever session; else a token's."""
    return f"login {principal.name}" if principal.kind == "session" else f"token {principal.token}"


class Stopped(Exception):
    """The work was canceled, voided or taken by somebody else."""


class Works:
    """The works of one chain. Several processes may ask for them and do them."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        now_ms: Callable[[], int],
        entropy: Callable[[int], bytes],
    ) -> None:
        self.folder = Path(settings.works_folder) if settings.works_folder else settings.data / FOLDER
        self.settings = settings
        self._database = database
        self.now_ms = now_ms
        self.asked = asyncio.Event()
        """Set when something was asked for here."""
        self._entropy = entropy
        self._drawn: str | None = None
        self._place: str | None = None

    @property
    def _worker(self) -> str:
        if self._drawn is None:
            self._drawn = self._entropy(8).hex()
        return self._drawn

    @property
    def place(self) -> str:
        """What its folder is called: the same for all servers that share it."""
        if self._place is None:
            named = self.folder / PLACE
            self.folder.mkdir(parents=True, exist_ok=True)
            drawn = self.folder / f".{self._worker}"
            drawn.write_text(self._entropy(8).hex())
            with contextlib.suppress(FileExistsError):
                os.link(drawn, named)
            drawn.unlink()
            self._place = named.read_text()
        return self._place

    def require_here(self, row: WorkRow) -> None:
        """`Refused("work_elsewhere")` when another server has its files."""
        if row.place not in (None, self.place):
            raise Refused("work_elsewhere", seconds=1)

    def data(self, id: str) -> Path:
        return self.folder / f"{id}.data"

    def report(self, id: str) -> Path:
        return self.folder / f"{id}.report"

    async def open(self) -> list[WorkRow]:
        """Those that wait or run, of whomever, the oldest first."""
        async with self._database.reader() as db:
            return await WorkRow.filter(state__in=OPEN).using_db(db).order_by("made_ms", "id")

    # --- whoever asks ---------------------------------------------------------------------------------

    async def ask(
        self,
        id: str,
        kind: str,
        owner: str,
        token: str,
        asked: dict[str, Any],
        erased: int,
        state: str = "queued",
        place: str | None = None,
    ) -> WorkRow:
        """Let a work be done; the one with this id when it was asked for before.

        `Refused("works_full")`: this owner has enough to wait for, or all files together take too much room.
        """
        known = await self._find(id)
        if known is not None:
            return known
        async with self._database.reader() as db:
            waiting = await WorkRow.filter(owner=owner, state__in=OPEN).using_db(db).count()
        if waiting >= OPEN_MAX or await self.room() <= 0:
            raise Refused("works_full", seconds=60)
        now = self.now_ms()
        row = WorkRow(
            id=id,
            kind=kind,
            owner=owner,
            token=token,
            asked=orjson.dumps(asked).decode(),
            state=state,
            worker=self._worker if state == "running" else None,
            progress="{}",
            row_count=0,
            byte_count=0,
            erased=erased,
            tries=0,
            alive_ms=now,
            made_ms=now,
            expires_ms=now + self.settings.works_days * DAY_MS,
            place=place,
        )
        try:
            async with self._database.writer() as db:
                await row.save(using_db=db, force_create=True)
        except IntegrityError:
            return await self.get(id, owner)
        self.asked.set()
        return row

    async def receive(
        self, id: str, owner: str, token: str, erased: int, chunks: AsyncIterable[bytes]
    ) -> WorkRow:
        """Keep what is uploaded; when this returns, power may fail. `Refused`: body_too_large, works_full,
        work_interrupted.
        """
        await self.ask(id, "upload", owner, token, {}, erased, "running", self.place)
        bytes_max = min(self.settings.upload_bytes_max, await self.room())
        size, noted = 0, self.now_ms()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self.data(id).open("wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > bytes_max:
                        raise Refused("body_too_large", bytes_max=bytes_max)
                    await asyncio.to_thread(file.write, chunk)
                    if self.now_ms() - noted >= NOTED_MS:
                        noted = self.now_ms()
                        await self.note(id, 0, size)
            await self.finish(id, self.data(id), 0, "")
        except Stopped:
            self.remove(id)
            raise Refused("work_interrupted") from None
        except BaseException:
            with contextlib.suppress(Stopped, RegularsError):
                await self.end(id, "failed")
            raise
        return await self.get(id, owner)

    async def get(self, id: str, owner: str, kind: str | None = None) -> WorkRow:
        """`Refused("not_found")` also for somebody else's."""
        row = await self._find(id)
        if row is None or row.owner != owner or (kind is not None and row.kind != kind):
            raise Refused("not_found", entity=kind or "work", field="id")
        return row

    async def list(self, owner: str, kind: str) -> list[WorkRow]:
        """The latest ones, the newest first."""
        async with self._database.reader() as db:
            found = WorkRow.filter(owner=owner, kind=kind).using_db(db)
            return await found.order_by("-made_ms", "-id").limit(SHOWN_MAX)

    async def cancel(self, id: str, owner: str, kind: str) -> WorkRow:
        """Let it not be done, or not any further; one that has ended stays as it is."""
        await self.get(id, owner, kind)
        async with self._database.writer() as db:
            canceled = await (
                WorkRow.filter(id=id, state__in=OPEN)
                .using_db(db)
                .update(state="canceled", ended_ms=self.now_ms())
            )
        if canceled:
            self.remove(id)
        return await self.get(id, owner, kind)

    async def room(self) -> int:
        """How many bytes files may still take."""
        async with self._database.reader() as db:
            kept = await WorkRow.filter(byte_count__gt=0).using_db(db)
        taken: int = sum(row.byte_count for row in kept)
        return self.settings.works_bytes_max - taken

    # --- whoever does it --------------------------------------------------------------------------------

    async def take(self) -> WorkRow | None:
        """The next work, which is this process's from now on."""
        now = self.now_ms()
        async with self._database.writer() as db:
            for row in await WorkRow.filter(state="running", alive_ms__lt=now - DEAD_MS).using_db(db):
                again = {"state": "queued"}
                if row.tries >= TRIES_MAX or row.kind == "upload":
                    again = {"state": "failed", "code": "work_interrupted"}
                same = WorkRow.filter(id=row.id, state="running", worker=row.worker).using_db(db)
                await same.update(**again)
            if not await WorkRow.filter(state="queued").using_db(db).exists():
                return None
            # An import goes where its upload is.
            doable = Q(kind="export") | Q(place=None) | Q(place=self.place)
            queued = WorkRow.filter(doable, state="queued").using_db(db)
            waiting = await queued.order_by("made_ms", "id").limit(OPEN_MAX)
            for row in waiting:
                mine = {"state": "running", "worker": self._worker, "tries": row.tries + 1, "alive_ms": now}
                mine |= {"place": self.place}
                if await WorkRow.filter(id=row.id, state="queued").using_db(db).update(**mine):
                    return await WorkRow.get(id=row.id, using_db=db)
        return None

    async def begin(self, id: str, erased: int) -> None:
        """Its snapshot was taken when so many rows were erased. `Stopped`."""
        await self._update(id, erased=erased)

    async def report_to(self, id: str, rights: str) -> None:
        """However it ends, its report is for whoever has these rights. `Stopped`."""
        await self._update(id, rights=rights)

    async def put_back(self, id: str) -> None:
        """Its process ends: another one begins it anew. `Stopped`."""
        self.remove(id)
        await self._update(id, state="queued", row_count=0, byte_count=0)

    async def note(self, id: str, rows: int, size: int, **told: Any) -> None:
        """Tell how far it is. `Stopped` when it is to go no further."""
        said = {"row_count": rows, "byte_count": size, "progress": orjson.dumps(told).decode()}
        await self._update(id, alive_ms=self.now_ms(), **said)

    async def end(self, id: str, state: str, error: RegularsError | None = None, **columns: Any) -> None:
        """`Stopped` as above; then its files go, but for what a failed import told of lines by then."""
        if error is not None:
            columns |= {"code": error.code, "detail": orjson.dumps(error.detail, default=str).decode()}
        if state != "completed":
            self.data(id).unlink(missing_ok=True)
            columns["byte_count"] = 0
            if state != "failed":
                self.remove(id)
            with contextlib.suppress(FileNotFoundError):
                size, digest = await asyncio.to_thread(_sealed, self.report(id))
                columns |= {"byte_count": size, "sha256": digest}
        await self._update(id, state=state, ended_ms=self.now_ms(), **columns)

    async def finish(self, id: str, file: Path, rows: int, rights: str) -> None:
        """The file is whole, and may be fetched. `Stopped`."""
        try:
            size, digest = await asyncio.to_thread(_sealed, file)
        except FileNotFoundError:
            raise Stopped from None
        await self.end(id, "completed", row_count=rows, byte_count=size, sha256=digest, rights=rights)

    async def _update(self, id: str, **columns: Any) -> None:
        async with self._database.writer() as db:
            mine = WorkRow.filter(id=id, state="running", worker=self._worker).using_db(db)
            if not await mine.update(**columns):
                raise Stopped

    # --- what goes --------------------------------------------------------------------------------------

    async def void(self, erased: int) -> None:
        """So many rows are erased by now: what was made or uploaded before may hold the person, so it goes.

        A file can't be searched for somebody whose name it may hold without an id. When this returns no
        such file has a name any more; whatever is under way stops at its next step.
        """
        voided = {"state": "voided", "code": "erased", "detail": "{}", "byte_count": 0, "asked": "{}"}
        async with self._database.reader() as db:
            found = await WorkRow.filter(_KEPT, erased__lt=erased).using_db(db)
        for row in found:
            if row.kind == "export" and row.state == "queued":
                continue  # it has read nothing yet
            async with self._database.writer() as db:
                still = WorkRow.filter(id=row.id, erased=row.erased).using_db(db)
                await still.update(**voided, ended_ms=self.now_ms())
            self.remove(row.id)

    async def let_go(self, id: str) -> None:
        """Of a file that nobody needs any more, before its time."""
        async with self._database.writer() as db:
            done = WorkRow.filter(id=id, state="completed").using_db(db)
            await done.update(state="expired", byte_count=0)
        self.remove(id)

    async def tidy(self) -> None:
        """Let go of what expired, and of files that are nobody's."""
        now = self.now_ms()
        forgotten = now - 2 * self.settings.works_days * DAY_MS
        async with self._database.writer() as db:
            over = WorkRow.filter(expires_ms__lt=now, state="completed").using_db(db)
            await over.update(state="expired", byte_count=0)
            await WorkRow.filter(expires_ms__lt=now, state="failed").using_db(db).update(byte_count=0)
            await WorkRow.filter(made_ms__lt=forgotten).using_db(db).delete()
        async with self._database.reader() as db:
            kept = await WorkRow.filter(_KEPT).using_db(db)
        ids = {row.id for row in kept}
        for file in self.folder.glob("*"):
            if file.name.partition(".")[0] not in ids and file.name != PLACE:
                file.unlink(missing_ok=True)

    async def _find(self, id: str) -> WorkRow | None:
        async with self._database.reader() as db:
            return await WorkRow.get_or_none(id=id, using_db=db)

    def remove(self, id: str) -> None:
        """Delete the files of a work."""
        for file in (self.data(id), self.report(id)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file)


def _sealed(file: Path) -> tuple[int, str]:
    """Its size and hash; when this returns, power may fail."""
    with file.open("r+b") as opened:
        os.fsync(opened.fileno())
        return os.fstat(opened.fileno()).st_size, hashlib.file_digest(opened, "sha256").hexdigest()
