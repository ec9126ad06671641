"""How many customers a rule finds: what SQL can't say is asked of the oracle, of so many at most."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from regulars_schema.rules.evaluate import evaluate
from regulars_schema.rules.knowing import Chain, Known
from regulars_schema.rules.tree import LINKS_MAX, Rule
from regulars_server.knowledge.loading import known
from regulars_server.knowledge.matching import Matching, Viewpoint, matching, pages
from regulars_server.storage.interface import Person, Reader

ASKED_MAX = 2_000
"""So many customers are asked of the oracle at most."""
OTHERS_MAX = 500
"""So many customers are looked at through links for each hundred; beyond, it is unknown."""


@dataclass
class Preview:
    total: int
    """Persons within reach."""
    fits: Matching
    sure: int
    """Of whom SQL knows that they fit."""
    waiting: int
    """Of whom the oracle is to be asked."""
    asked: int = 0
    fitting: int = 0
    """Of those who were asked."""
    unknown: int = 0
    members: list[Known] = field(default_factory=list)
    """Those who were asked, and fit."""

    @property
    def count(self) -> int:
        return self.sure + self.fitting

    @property
    def is_whole(self) -> bool:
        return self.asked >= self.waiting

    @property
    def share(self) -> float | None:
        """Of all; where not all were asked, as far as those tell."""
        if not self.total:
            return None
        more = self.fitting if self.is_whole else self.fitting * self.waiting / max(self.asked, 1)
        return min((self.sure + more) / self.total, 1.0)


async def preview(
    reader: Reader,
    rule: Rule,
    world: Chain,
    view: Viewpoint,
    kinds: frozenset[str],
    in_time: Callable[[], bool],
) -> Preview:
    """Whom the rule finds. `kinds`: of the links through which it looks at others."""
    fits = matching(rule, world.segments, view)
    total, sure, waiting = await reader.counts("customer", [Person(), fits.sure, fits.asked])
    found = Preview(total, fits, sure, waiting)
    async for people in pages(reader, fits.asked, view, ASKED_MAX):
        seen = await with_others(reader, people, world, kinds, view)
        for person in people:
            answer = evaluate(rule, person, seen).answer
            found.asked += 1
            found.fitting += answer is True
            found.unknown += answer is None
            if answer:
                found.members.append(person)
        if not in_time():
            break
    return found


async def with_others(
    reader: Reader, people: Sequence[Known], world: Chain, kinds: frozenset[str], view: Viewpoint
) -> Chain:
    """The world in which whoever is linked to these can be looked at, as far as rules follow links."""
    found = {person.id: person for person in people}
    last: Iterable[Known] = people
    for _ in range(LINKS_MAX):
        linked = {id for one in last for kind in kinds for id in one.linked(kind)}
        ids = sorted(linked - found.keys())[:OTHERS_MAX]
        if not ids:
            break
        others = await _known(reader, ids, view)
        last = others.values()
        found |= others
    return replace(world, find=found.get)


async def _known(reader: Reader, ids: Sequence[str], view: Viewpoint) -> dict[str, Known]:
    return await known(reader, ids, tree=view.tree, as_of_ms=view.as_of_ms, sensitive=view.sensitive)
