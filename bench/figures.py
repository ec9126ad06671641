"""What is measured, as data: each figure, what it is compared with, and what is asked of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

from bench.server import Cost, Kind

PUSH = "push of offline-made interactions"
UPDATES = "push of updates to existing customers"
SMALL = "small pushes"
CLIENTS = "clients at once"
PULL = "pull of all rows by pages"
CATCH_UP = "catch-up of changed rows"
FIRST_SYNC = "first sync"
LIST = "list"
ONE = "one"
SEARCH = "search"
NUMBER = "number"
THROUGH = "through"

Goal = Callable[[float, float], tuple[str, bool]]
"""Of a ratio and of our own median: what is asked, and whether it holds."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    customers: int = 10_000
    rows: int = 70_000
    base_customers: int = 3_000
    interactions: int = 10_000
    updates: int = 2_000
    small: int = 200
    clients: int = 50
    client_facts: int = 80
    client_edits: int = 20
    changed: int = 200
    catch_ups: int = 30
    graph_customers: int = 2_000
    graph_share: float = 1.0
    """Of the requests that are one sample."""
    local_writes: int = 50
    live: int = 20
    repetitions: int = 3

    @classmethod
    def quick(cls) -> Sizes:
        return cls(
            customers=100,
            rows=1_500,
            base_customers=70,
            interactions=600,
            updates=40,
            small=10,
            clients=5,
            client_facts=16,
            client_edits=4,
            changed=20,
            catch_ups=5,
            graph_customers=1_100,
            graph_share=0.05,
            local_writes=5,
            live=3,
            repetitions=1,
        )


@dataclass(slots=True)
class Results:
    """Samples in the order in which they were taken."""

    costs: dict[str, dict[Kind, list[Cost]]] = field(default_factory=lambda: defaultdict(dict))
    limits: dict[str, list[Cost]] = field(default_factory=lambda: defaultdict(list))
    sdk: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Milliseconds on a tablet, by what it did."""
    rows: int = 0

    def add(self, figure: str, kind: Kind, cost: Cost) -> None:
        self.costs[figure].setdefault(kind, []).append(cost)


Step = Callable[[str], None]
"""Told what is done next."""


def at_most(limit: float) -> Goal:
    return lambda ratio, _: (f"<= {limit:g}", ratio <= limit)


def rate(share: float, per_s: float | None = None) -> Goal:
    """That of one server process kept busy, against the floor's; or so many a second."""

    def held(ratio: float, ms: float) -> tuple[str, bool]:
        asked = f"{share:g} of the floor's rate ({1 / ratio:.3f})"
        if per_s is None:
            return f">= {asked}", 1 / ratio >= share
        return f">= {per_s:g}/s ({1_000 / ms:.0f}/s) or {asked}", 1 / ratio >= share or 1_000 / ms >= per_s

    return held


@dataclass(frozen=True, slots=True)
class Figure:
    samples: str
    name: str
    """With the sizes to be filled in."""
    goals: Mapping[str, Goal] = field(default_factory=dict)
    """By what is measured: wall, CPU, bytes, memory."""
    base: Kind | None = None
    """What it is compared with, and what is compared, where that is not the section's."""
    ours: Kind | None = None


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    about: str
    base: Kind
    ours: Kind
    figures: tuple[Figure, ...]
    header: tuple[str, str] = ("floor", "ours")


def times(limit: float) -> dict[str, Goal]:
    """At most so many times what the other one takes."""
    return {"CPU": at_most(limit), "wall": at_most(limit)}


_PUSH = "push of {interactions:,} offline-made interactions"
_UPDATES = "push of {updates:,} updates to existing customers"
_SMALL = "{small:,} pushes of 5 interactions, one after the other"
_CLIENTS = "{clients} clients x {client_changes} changes at once, then each pulls"
_PULL = "pull of {rows:,} rows by pages of 1,000"
_CATCH_UP = "catch-up of {changed:,} rows among {rows:,}"
_GRAPH = {
    LIST: "1,000 customers x 15 fields + home unit over GraphQL",
    ONE: "one customer by id with 20 fields over GraphQL",
    SEARCH: "the best 20 of a search for a name of two syllables over GraphQL",
    THROUGH: "20 customers by their home unit and by none of their interactions over GraphQL",
}

SECTIONS = (
    Section(
        "Beside a bare floor",
        """The floor (`bench/floor.py`) is Starlette and one SQLite transaction a batch: no auth, no
validation, no conflicts, no log, no scopes, no proof.""",
        "floor",
        "ours",
        (
            Figure(PUSH, _PUSH, times(2)),
            Figure(UPDATES, _UPDATES, times(2.5)),
            Figure(SMALL, _SMALL),
            Figure(CLIENTS, _CLIENTS, times(2)),
            Figure(PULL, _PULL, times(2)),
            Figure(CATCH_UP, _CATCH_UP, times(3)),
        ),
    ),
    Section(
        "First sync beside JSON pages",
        """From the request to the first query of a new tablet, beside a bare client that fetches the
floor's JSON pages into an SQLite file. Of a copied file the CPU is that of both ends.""",
        "pages",
        "snapshot",
        (
            Figure(
                FIRST_SYNC,
                "first sync of {rows:,} rows, the snapshot cached",
                {"wall": at_most(0.35), "bytes": at_most(0.25)},
            ),
            Figure(
                FIRST_SYNC,
                "first sync of {rows:,} rows, the snapshot to be built",
                {"wall": at_most(0.8)},
                ours="built",
            ),
            Figure(FIRST_SYNC, "first sync of {rows:,} rows by pages", ours="paged"),
            Figure(FIRST_SYNC, "copy of that tablet's ready file over HTTP to disk", ours="copy"),
        ),
        ("JSON pages", "this"),
    ),
    Section(
        "GraphQL beside a floor",
        "A request, from SQLite; the floor answers the very bytes that we answered, from memory.",
        "floor",
        "ours",
        (
            Figure(LIST, _GRAPH[LIST], {"CPU": rate(0.04, 150)}),
            Figure(ONE, _GRAPH[ONE], {"CPU": rate(0.12)}),
            Figure(SEARCH, _GRAPH[SEARCH]),
            Figure(THROUGH, _GRAPH[THROUGH]),
        ),
    ),
    Section(
        "GraphQL beside graphql-core's own executor",
        "The same server, its operations field by field.",
        "core",
        "ours",
        (
            Figure(LIST, _GRAPH[LIST], {"CPU": at_most(1 / 8)}),
            *(Figure(name, _GRAPH[name]) for name in (ONE, SEARCH, THROUGH)),
        ),
        ("graphql-core", "ours"),
    ),
    Section(
        "PostgreSQL beside our SQLite",
        """CPU is that of the server and of all processes of PostgreSQL; memory is the server's. Both keep
their files on the same disk and wait for it at each commit.""",
        "ours",
        "postgres",
        (
            Figure(PUSH, _PUSH, times(2)),
            Figure(UPDATES, _UPDATES, times(2)),
            Figure(SMALL, _SMALL, times(2)),
            Figure(CLIENTS, _CLIENTS, times(2)),
            Figure(PULL, _PULL, times(2)),
            Figure(CATCH_UP, _CATCH_UP, times(2)),
        ),
        ("SQLite", "PostgreSQL"),
    ),
    Section(
        "Two servers on one PostgreSQL beside one",
        "On the same cores, half the clients on each: throughput must not fall.",
        "postgres",
        "two",
        (Figure(CLIENTS, _CLIENTS, {"wall": at_most(1.05)}),),
        ("one", "two"),
    ),
)


def names(results: Results, sizes: Sizes) -> dict[str, int]:
    """What the figures' names are filled with."""
    return {
        **asdict(sizes),
        "rows": results.rows,
        "client_changes": sizes.client_facts + sizes.client_edits,
    }
