"""Free-text search of a list: which rows a text finds, and which of them stand first.

All that is asked is asked within reach: what is out of reach neither finds nor ranks nor counts. Whether a
letter may be wrong is decided by whether anything within reach fits the text as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from regulars_schema.declare import Entity, Unfit, check_text
from regulars_schema.search import Asked, Match, asked, score
from regulars_server.storage.interface import Any_, Found, Order, Test, Where
from regulars_sync.errors import Refused

if TYPE_CHECKING:
    from regulars_server.graph.request import Context

CHARS_MAX = 200
BEST_MAX = 200
"""So many of the rows found are ranked and given by relevance."""
RELEVANCE = Order("relevance", descending=True)
"""By how well a row fits the text; only here, storage has no such order."""


class Search(NamedTuple):
    """What a text means for the rows of an entity within reach."""

    asked: Asked
    test: Where

    async def best(
        self, context: Context, entity: Entity, where: Callable[[Where], Where | None]
    ) -> list[Found]:
        """The rows that fit best, the best first; `where` puts a test among the others that must pass.

        Of more rows than are ranked those come first whose whole name it is.
        """
        found = {row.id: row for row in await context.select(entity, where(self.test), Order(), BEST_MAX)}
        if len(found) == BEST_MAX:
            named = await context.select(entity, where(_match(self.asked.whole)), Order(), BEST_MAX)
            found = {row.id: row for row in [*named, *found.values()][:BEST_MAX]}
        ranked = [
            row._replace(key=(score(self.asked, entity, context.row(entity, row).values), id))
            for id, row in found.items()
        ]
        return sorted(ranked, key=lambda row: row.key, reverse=True)


async def search(context: Context, entity: Entity, text: str | None) -> Search | None:
    """None for an empty text, which asks for nothing; `Refused` for one that is too long or none at all."""
    try:
        wanted = None if text is None else asked(check_text(text, CHARS_MAX))
    except Unfit as unfit:
        raise Refused(unfit.code, field="search", **unfit.detail) from None
    if wanted is None:
        return None
    if not wanted.words:
        return Search(wanted, Any_(()))
    strict = _match(wanted.strict)
    if wanted.loose is not None and not await context.select(entity, strict, Order(), 1):
        return Search(wanted, _match(wanted.loose))
    return Search(wanted, strict)


def _match(match: Match) -> Where:
    return Test("*", "match", match)
