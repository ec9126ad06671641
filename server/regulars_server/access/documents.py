"""Trusted documents: GraphQL operations that were published, which a request names instead of sending them.

An id is what the client's build calls the document; one that is the hash of the text is `sha256:...`. What
an id once meant it means for ever: it can be retired and published again, never with another text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from regulars_server.access.models import Database, DocumentRow
from regulars_sync.errors import Refused

KEPT_MS = 800
"""For so long a document is answered from memory after it was retired by another process."""
KEPT_MAX = 1_000
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._~-]{0,127}")
_BARE_HASH = re.compile(r"[0-9a-f]{64}")
_PREFIX = "sha256:"


@dataclass(frozen=True, slots=True)
class Published:
    id: str
    name: str
    """The names of its operations."""
    text: str
    published_ms: int
    retired_ms: int | None


def id_of(text: str) -> str:
    """The id of a text that nobody gave one: its hash."""
    return _PREFIX + sha256(text.encode()).hexdigest()


def checked_id(id: str, text: str) -> str:
    """The id under which a text is kept that a build calls `id`; `Refused("argument_invalid")`."""
    own = id_of(text)
    if id == own.removeprefix(_PREFIX):
        return own
    if not _ID.fullmatch(id):
        raise Refused("argument_invalid", reason=f"“{id[:80]}” can't be the id of a document.")
    if id.startswith(_PREFIX) and id != own:
        raise Refused("argument_invalid", reason=f"The document {id[:80]} has another hash: {own}.")
    return id


class TrustedDocuments:
    """The trusted documents of one chain, kept in its database and, those in use, in memory."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._kept: dict[str, tuple[str, int]] = {}

    async def publish(self, documents: Mapping[str, tuple[str, str]]) -> list[str]:
        """Keep documents, by id their name and text; gives the ids that were not there. Idempotent.

        `Refused("argument_invalid")` when an id stands for another text; then none is published.
        """
        async with self._database.reader() as db:
            known = {row.id: row for row in await DocumentRow.filter(id__in=list(documents)).using_db(db)}
        for id, row in known.items():
            if row.text != documents[id][1]:
                raise Refused("argument_invalid", reason=f"The id {id} stands for another document.")
        added = [id for id, row in known.items() if row.retired_ms is not None]
        async with self._database.writer() as db:
            if added:
                await DocumentRow.filter(id__in=added).using_db(db).update(retired_ms=None)
            fresh = [
                DocumentRow(id=id, name=name, text=text, published_ms=self._now_ms())
                for id, (name, text) in documents.items()
                if id not in known
            ]
            await DocumentRow.bulk_create(fresh, ignore_conflicts=True, using_db=db)
        return [*added, *(row.id for row in fresh)]

    async def retire(self, ids: Iterable[str]) -> None:
        """Serve these no more. Idempotent; `Refused("document_unknown")` for an id that never was."""
        wanted = list(ids)
        async with self._database.writer() as db:
            known = {row.id for row in await DocumentRow.filter(id__in=wanted).using_db(db)}
            for id in wanted:
                if id not in known:
                    raise Refused("document_unknown", id=id[:80])
            retired = DocumentRow.filter(id__in=wanted, retired_ms__isnull=True).using_db(db)
            await retired.update(retired_ms=self._now_ms())
        self._kept.clear()

    async def all(self) -> list[Published]:
        """Every document, oldest first."""
        async with self._database.reader() as db:
            rows = await DocumentRow.all(db).order_by("published_ms", "id")
        return [Published(row.id, row.name, row.text, row.published_ms, row.retired_ms) for row in rows]

    async def text(self, id: str) -> str:
        """The document of this id; a bare SHA-256 will do. `Refused("document_unknown")` also if retired."""
        now = self._now_ms()
        kept = self._kept.get(id)
        if kept is not None and now < kept[1]:
            return kept[0]
        ids = [id, _PREFIX + id] if _BARE_HASH.fullmatch(id) else [id]
        row = None
        if _ID.fullmatch(id):
            async with self._database.reader() as db:
                row = await DocumentRow.filter(id__in=ids, retired_ms__isnull=True).using_db(db).first()
        if row is None:
            self._kept.pop(id, None)
            raise Refused("document_unknown", id=id[:80])
        if len(self._kept) >= KEPT_MAX:
            self._kept.clear()
        self._kept[id] = row.text, now + KEPT_MS
        return row.text
