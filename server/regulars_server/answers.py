"""What mutations were answered: one that is sent again gets the same bytes, also after a restart.

That nothing is done twice is the log's work: a cid follows from token and idempotency key. This is what
was said about it. An answer is of one content (what was asked) and one view (how, by whom with which
rights); where the view is another one, or the answer is gone, what became of the change is read anew.
Answers that held an erased person are gone, and so are all that were given before, since an answer may hold
a name without an id.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import blake2b

from tortoise import fields
from tortoise.exceptions import IntegrityError
from tortoise.models import Model

from regulars_server.access.models import Database

ANSWERS_DDL: tuple[str, ...] = (
    """
    CREATE TABLE answer (
        id TEXT NOT NULL PRIMARY KEY,
        content TEXT NOT NULL,
        shape TEXT NOT NULL,
        body TEXT,
        erased BIGINT NOT NULL,
        at_ms BIGINT NOT NULL
    )
    """,
    "CREATE INDEX answer_at ON answer (at_ms)",
    "CREATE INDEX answer_held ON answer (erased) WHERE body IS NOT NULL",
)
BODY_CHARS_MAX = 1 << 20
HOUR_MS = 3_600_000


class AnswerRow(Model):
    id = fields.CharField(32, primary_key=True)
    content = fields.CharField(32)
    shape = fields.CharField(32)
    body = fields.TextField(null=True)
    erased = fields.BigIntField()
    """How many rows were erased when it was read."""
    at_ms = fields.BigIntField()

    class Meta:
        table = "answer"


@dataclass(frozen=True, slots=True)
class Answer:
    content: str
    """A hash of what was asked."""
    view: str
    """A hash of how it was asked, and with which rights."""
    body: str | None
    """JSON. None: it was too long, or somebody was erased since."""


def answer_id(token: str, key: str) -> str:
    """Under which an answer is kept; the key itself is not."""
    return digest("answer", token, key)


def digest(*parts: str) -> str:
    """128 bits of these texts, in hex."""
    hashed = blake2b(digest_size=16)
    for part in parts:
        raw = part.encode(errors="surrogatepass")
        hashed.update(len(raw).to_bytes(8, "big") + raw)
    return hashed.hexdigest()


class Answers:
    """The answers of one chain. Several processes may keep and find them."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    async def find(self, id: str) -> Answer | None:
        async with self._database.reader() as db:
            row = await AnswerRow.get_or_none(id=id, using_db=db)
        return None if row is None else Answer(row.content, row.shape, row.body)

    async def keep(
        self, id: str, answer: Answer, erased: int, erased_by_now: Callable[[], Awaitable[int]]
    ) -> Answer:
        """Keep an answer; the one that stands, which is another one where somebody was quicker.

        `erased`: how many rows were erased when it began to be read. It is asked anew once the answer
        stands: whoever was erased between then and now is not kept.
        """
        body = answer.body if len(answer.body or "") <= BODY_CHARS_MAX else None
        row = AnswerRow(
            id=id,
            content=answer.content,
            shape=answer.view,
            body=body,
            erased=erased,
            at_ms=self._now_ms(),
        )
        try:
            async with self._database.writer() as db:
                await row.save(using_db=db, force_create=True)
        except IntegrityError:
            return await self.find(id) or answer
        if body is not None:
            await self.forget(await erased_by_now())
        return answer

    async def forget(self, erased: int) -> None:
        """Destroy what was answered before so many rows were erased. That it was asked stays known."""
        before = {"body__isnull": False, "erased__lt": erased}
        async with self._database.reader() as db:
            if not await AnswerRow.filter(**before).using_db(db).exists():
                return
        async with self._database.writer() as db:
            await AnswerRow.filter(**before).using_db(db).update(body=None)

    async def tidy(self, hours: int) -> None:
        """Drop what is older."""
        async with self._database.writer() as db:
            await AnswerRow.filter(at_ms__lt=self._now_ms() - hours * HOUR_MS).using_db(db).delete()
