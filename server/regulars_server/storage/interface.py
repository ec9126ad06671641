"""The interface of storage. Its docstrings are laws; tests/contract holds every implementation to them.

A chain is a database, so nothing here names a chain. Whoever reads on behalf of somebody gets a
reader that is already scoped; only reconcile, identity and rollups use the unscoped one. There is
one writer at a time; readers never wait for it and see one snapshot for as long as they are open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from regulars_schema.declare import JSON, Level, Registry
from regulars_schema.rules.totals import Numbers
from regulars_server.storage.standing import (
    Checked,
    Concern,
    Counted,
    Cuts,
    Due,
    Home,
    Movement,
    Sweep,
    What,
)
from regulars_sync.digest import Digest
from regulars_sync.log import Entry
from regulars_sync.placement import Writes
from regulars_sync.protocol import Acked
from regulars_sync.reconcile import Key, Row

SHARED_MAX = 20
"""How many customers may share a key that still tells of a person."""


@dataclass(frozen=True, slots=True)
class Chain:
    """What a database says of itself."""

    id: str
    epoch: str
    """64 random bits in hex; another one after a restore was noticed."""
    secret: bytes
    """Signs cursors."""


class Head(NamedTuple):
    """The last commit that a snapshot sees."""

    seq: int
    mark: str
    """64 random bits in hex, drawn by that commit."""
    stamp_max: int
    """The highest accepted stamp."""
    floor: int = 0
    """Departures up to this seq were dropped: a cursor below it has missed some."""


# --- what to look for ---------------------------------------------------------------------------

Operator = Literal[
    "eq", "ne", "in", "lt", "le", "gt", "ge", "starts", "contains", "has", "overlaps", "exists", "match"
]


@dataclass(frozen=True, slots=True)
class Test:
    """One test of one stored field.

    eq ne lt le gt ge          a scalar; a field never written, or null, passes none of them but `ne`
    starts contains            a text, letter case and all; null passes neither
    in                         a list of scalars
    has                        a set holds the element with this key (after normal form); `party` of an
                               interaction `has` a customer id
    overlaps                   a set holds one of the elements with these keys, a list
    exists                     True or False: a scalar has a value, a set has any element
    match                      field is "*", the value a `search.Match`: the tokens of the row fit it

    A test of a field that is not stored, or with a value of another type, is `Refused("argument_invalid")`.
    """

    field: str
    op: Operator
    value: JSON


@dataclass(frozen=True, slots=True)
class All:
    tests: tuple[Where, ...]


@dataclass(frozen=True, slots=True)
class Any_:  # noqa: N801 - `Any` is taken
    tests: tuple[Where, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True where the inner test is not: also for rows that never wrote the field."""

    test: Where


@dataclass(frozen=True, slots=True)
class Person:
    """Of customers: one row for each person, that of the survivor, when any of the person's rows passes."""

    test: Where | None = None


@dataclass(frozen=True, slots=True)
class Torn:
    """Of identity decisions: those in a cluster that holds a contradiction."""


@dataclass(frozen=True, slots=True)
class Related:
    """Some row of another entity that is tied to this one passes.

    `field` of this row names it: a reference, or a set or list that holds one. With `back` it is the other
    way round: `field` of the other row names this one; of a customer, any id of its cluster within reach.
    A row out of reach is as one that does not exist. What no field ties is `Refused("argument_invalid")`.
    """

    entity: str
    field: str
    back: bool = False
    test: Where = All(())


@dataclass(frozen=True, slots=True)
class Stands:
    """Of customers: those that have one of these values in a scheme. It is kept under a person's survivor."""

    scheme: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """Of customers: the members of a segment, dynamic or static. It is kept under a person's survivor."""

    segment: str


@dataclass(frozen=True, slots=True)
class Fits:
    """Of customers: a condition on a customer `c`, as `rules.sql` writes it; `c.id` is the number of its
    row here. A parameter that is a tuple stands for `IN (SELECT value FROM json_each(?))`."""

    text: str
    parameters: tuple[JSON, ...] = ()


Where = Test | All | Any_ | Not | Person | Torn | Related | Stands | Member | Fits


@dataclass(frozen=True, slots=True)
class Order:
    """By a stored scalar field (`name` by its sort form), or by `id`; nulls come first, `id` breaks ties.

    Descending is the same order backwards, nulls and ties too.
    """

    field: str = "id"
    descending: bool = False


class Found(NamedTuple):
    """A row that was found: its documents of every level within reach, and its place in the order."""

    id: str
    documents: dict[Level, bytes]
    key: tuple[JSON, str]
    """The order's value and the id: where a connection continues."""
    seqs: dict[Level, int]
    """Of the latest commit of each document."""

    def seq(self, sensitive: bool = True) -> int:
        """Of the latest commit of what such a reader sees; with the epoch it is the row's version."""
        return max(self.seqs.values(), default=0) if sensitive else self.seqs.get(Level.INTERNAL, 0)


class Total(NamedTuple):
    """Of the customers that pass and that `Numbers` select."""

    at: str | None
    """Where they are instants, one for each; else None, and there is one total."""
    customers: int
    measured: int
    """Those with a number."""
    sum: int
    """Of the numbers; 0 of instants."""


class Totals(NamedTuple):
    customers: int
    of: list[list[Total]]
    """Of each, in their order."""


# --- what a reader gives --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FeedRows:
    """Documents of one entity in one scope, oldest change first, and ids that left it."""

    scope: str
    entity: str
    documents: Sequence[bytes]
    left: Sequence[str]
    erased: Sequence[str] = ()
    """Those of `left` that were erased."""


@dataclass(frozen=True, slots=True)
class FeedPage:
    rows: Sequence[FeedRows]
    reached: Mapping[str, int]
    """Every scope that was asked for -> the seq up to which it was read."""
    more: bool


class Since(NamedTuple):
    """What came after some point of some scopes, and of the chain."""

    entries: int
    """Feed entries of these scopes; counted no further than was asked."""
    departed: bool
    """Whether a row left one of these scopes and has not come back; among the entries that were counted."""
    erased: int
    """How many rows of the chain were ever erased."""


class Choice(NamedTuple):
    """Something that was decided by itself when a change was accepted: see `log.Entry.detail`."""

    pos: int
    """Of the entry with which the change took effect."""
    decided_ms: int
    entry: Entry
    """The change as it came, under its present verdict."""


class Happened(NamedTuple):
    """A change that took effect, and its place in time: by `at_ms`, then by `pos`."""

    at_ms: int
    pos: int
    """Of the entry with which it took effect."""
    entry: Entry
    """The change as it came, under its present verdict."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which choices to look for; each None passes all."""

    device: str | None = None
    unit: str | None = None
    """Whose tablet wrote the change."""
    since_ms: int | None = None
    fields: frozenset[str] | None = None
    """`<entity>.<field>`: choices about at least one of these."""
    bare: bool = True
    """Beside those `fields` let pass, also what was chosen of no field: a stamp that was replaced."""


class Noted(NamedTuple):
    """An entry of the log, without what it says."""

    pos: int
    entity: str
    id: str
    accepted: bool


class Tail(NamedTuple):
    """The log beyond some position."""

    entries: list[Noted]
    end: int
    """The position of the last entry that this snapshot sees; 0 when there is none."""


class Bucket(NamedTuple):
    """The rows of a scope whose hashes begin with one byte."""

    digest: Digest
    size: int
    """Bytes of their documents."""


class OpenCount(NamedTuple):
    """Held or rejected changes that nobody closed and that have one verdict and code."""

    verdict: str
    code: str | None
    changes: int
    oldest_ms: int
    """When the oldest of them came in."""


class EqualKey(NamedTuple):
    """Customers (two or more persons, not archived) that share a value of an identity field."""

    field: str
    key: str
    ids: tuple[str, ...]


class Alike(NamedTuple):
    """Two customers who may be one person."""

    one: str
    other: str
    path: str
    """What is equal: `phones/+8613800138000`, `member_no`; `name` for a name with its birth or address."""


class Reader(Protocol):
    """One snapshot. A scoped reader never shows, counts, orders by or finds what is out of its scopes:

    a row is within reach while it has a place (not left) in one of the scopes, and each document
    of it while the place is in the scope of that document's level. An id out of reach and an id
    that does not exist give the same answer.
    """

    async def head(self) -> Head: ...

    async def find(self, entity: str, ids: Iterable[str]) -> dict[str, Found]:
        """The rows within reach among these ids, whatever their order; key is (id, id)."""
        ...

    async def select(
        self,
        entity: str,
        where: Where | None,
        order: Order,
        limit: int,
        after: tuple[JSON, str] | None = None,
        before: tuple[JSON, str] | None = None,
        backwards: bool = False,
    ) -> list[Found]:
        """At most `limit` rows in order, strictly after/before these keys.

        `backwards` takes the last `limit` of them instead of the first; the result is in `order` all
        the same. A key that no longer exists still says where to go on. One statement, whatever is found.
        """
        ...

    async def count(self, entity: str, where: Where | None) -> int: ...

    async def counts(self, entity: str, wheres: Iterable[Where]) -> list[int]:
        """How many rows pass each of these. One statement for a hundred of them."""
        ...

    async def totals(self, wheres: Sequence[Where], numbers: Sequence[Numbers]) -> list[Totals]:
        """How many customers pass each of these, and what these numbers of theirs come to.

        A customer's number is that under its own row; `LookupError` where nothing reads SQL. One statement
        for a hundred numbers.
        """
        ...

    async def feed(self, after: Mapping[str, int], rows_max: int, bytes_max: int) -> FeedPage:
        """The feed of these scopes beyond these seqs: each row's latest state in that scope, once.

        Stops after `rows_max` entries or once `bytes_max` is passed (but never empty while there is
        more). Applying pages in order until `more` is false gives exactly what the scopes hold in
        this snapshot. Only scopes of the reader may be asked for (`LookupError`).
        """
        ...

    async def digests(self, scopes: Iterable[str]) -> dict[str, Digest]:
        """Count and hash of what each scope holds in this very snapshot; `EMPTY` for an empty one."""
        ...

    async def buckets(self, scope: str) -> dict[int, Bucket]:
        """What a scope holds, by the first byte of each document's hash; a bucket without rows is left out.

        Their digests add up to that of the scope. One statement for each entity; only a scope of the
        reader may be asked for (`LookupError`).
        """
        ...

    async def bucket_rows(self, scope: str, buckets: Iterable[int]) -> list[FeedRows]:
        """All that these buckets of a scope hold, nothing that left. One statement for each entity."""
        ...

    async def acks(self, device: str, incarnations: Iterable[str]) -> dict[str, Acked]:
        """How far each of the device's incarnations is acknowledged in this snapshot.

        An incarnation never heard of stands at 0 with its starting trail; another device's too.
        """
        ...

    async def is_cloned(self, device: str, incarnations: Iterable[str]) -> bool:
        """Whether any of these incarnations of the device is a clone beside an older one that goes on."""
        ...

    async def commits(self, after: int) -> list[int]:
        """The last seq of each commit behind this one, in order."""
        ...

    async def knows_mark(self, seq: int, mark: str) -> bool:
        """Whether the commit with this last seq wrote this mark."""
        ...

    async def since(self, after: Mapping[str, int], entries_max: int) -> Since:
        """What happened in these scopes beyond these seqs, as of this snapshot.

        Looks at `entries_max` entries of each scope and one more, however many there are. Only scopes of the
        reader may be asked for (`LookupError`).
        """
        ...

    async def history(self, entity: str, id: str) -> list[Entry]:
        """Every log entry about a row within reach, oldest first, bodies included; empty otherwise.

        What is no entity's row (who was let in) is told to the unscoped reader.
        """
        ...

    async def histories(self, entity: str, ids: Iterable[str]) -> dict[str, list[Entry]]:
        """The same of each of these rows that is within reach. Two statements, whatever is found."""
        ...

    async def happened(
        self,
        persons: Mapping[str, Iterable[str]],
        limit: int,
        before: tuple[int, int] | None = None,
        fields: frozenset[str] | None = None,
    ) -> dict[str, list[Happened]]:
        """The accepted changes to each person's rows, links and identities within reach, latest first.

        `persons`: by any name, the customers that are one person. At most `limit` of each, strictly before
        this (at_ms, pos); of those that wrote one of the `<entity>.<field>` in `fields`, or of all. What
        erasure emptied is not among them. One statement to find them, one to read them.
        """
        ...

    async def holders(self, customers: Iterable[str]) -> dict[str, frozenset[str]]:
        """The units within reach that hold each of these customers within reach."""
        ...

    async def open_entries(
        self, limit: int, after: int = 0, device: str | None = None, cids: Iterable[str] | None = None
    ) -> list[Entry]:
        """Held and rejected changes that nobody closed, each once with its body and its present verdict.

        In order of `pos` (of the entry with the body), beyond `after`. A scoped reader sees those whose
        device has a place within its reach (the row `device`'s unit), or whose row is within reach.
        """
        ...

    async def open_counts(self) -> list[OpenCount]:
        """How many entries `open_entries` would give, by verdict and code, in that order. One statement.

        Only the unscoped reader has it (`LookupError`).
        """
        ...

    async def accepted(self, cids: Iterable[str]) -> dict[str, Entry]:
        """The accepted ones among these changes to rows within reach, with body and present verdict.

        What erasure emptied is not among them.
        """
        ...

    async def choices(self, limit: int, before: int | None, chosen: Chosen) -> list[Choice]:
        """What was decided by itself about rows within reach, latest first, of lower `pos` than `before`.

        These are accepted changes with values beside, in another form than they came in, or with another
        stamp. What erasure emptied is not among them. One statement to find them, one to read them.
        """
        ...

    async def tail(self, after: int, limit: int) -> Tail:
        """The entries beyond a position, oldest first, `limit` at most.

        Only the unscoped reader has it (`LookupError`): whoever holds all rows is told of changes by the log,
        also of rows that no scope holds.
        """
        ...

    async def gaps(self, limit: int, device: str | None = None) -> list[Entry]:
        """Numbers that a device told it has lost (`number_gap`), latest first.

        A scoped reader sees those of devices whose unit is within its reach.
        """
        ...

    async def clusters(self, customers: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The cluster of each of these customers that is in one: its ids within reach, the survivor first."""
        ...

    async def equal_keys(self, limit: int) -> list[EqualKey]:
        """Customers within reach, of two or more persons, that share an identity key; never a `?` phone."""
        ...

    # --- where customers stand ---

    async def standings(self, customers: Iterable[str]) -> dict[str, dict[str, dict[str, int]]]:
        """Of each of these within reach of which anything is kept: scheme -> value -> since when, in ms.

        It is kept under the survivor of a cluster; a member has nothing of its own once it was looked at.
        """
        ...

    async def memberships(self, customers: Iterable[str]) -> dict[str, dict[str, int]]:
        """Of each of these within reach that is in any: segment -> since when."""
        ...

    async def movements(
        self,
        limit: int,
        before: int | None = None,
        customers: Iterable[str] | None = None,
        what: What | None = None,
        key: str | None = None,
    ) -> list[Movement]:
        """Those of customers within reach, latest first, of lower `n` than `before`."""
        ...

    async def cuts(self, since: str, until: str, home: Home | None = None) -> Cuts:
        """What divides all persons by their purchases and returns between these instants that count; for
        recency by all until then. Of margin: those all of whose costs are known. `home`: money only of those
        who are at home there, in its currency or in none that is named."""
        ...

    async def next_due(self) -> int | None:
        """When somebody is due the next time, in ms, whoever is at it left out by then; 0: at once."""
        ...

    async def sweep(self, now_ms: int) -> Sweep | None:
        """How far everybody was asked what changed since they were looked at; None when that is done."""
        ...

    async def unlooked(self, customers: Iterable[str], now_ms: int) -> set[str]:
        """Those of these within reach who are to be looked at by now, or are swept and not reached yet."""
        ...

    async def counted(self, customers: Iterable[str]) -> dict[str, set[Counted]]:
        """The facts that are laid out for rules, of each of these within reach of whom any are.

        As of when they were looked at last; under the survivor, as all that is kept of a person. Lines whose
        fact is not there, or says other than they do, are of a fact that says nothing.
        """
        ...


# --- what a writer adds -----------------------------------------------------------------------------


@dataclass(slots=True)
class Incarnation:
    id: str
    device: str
    n: int
    trail: str
    began: int = field(default=0, compare=False)
    """The seq of the commit that first took a number of it; given by storage."""
    cloned: bool = field(default=False, compare=False)
    """An older incarnation of its device went on after it began, so both are alive; given by storage."""


@dataclass(slots=True)
class Batch:
    """All that one commit writes. Every part may be empty."""

    writes: Writes = field(default_factory=Writes)
    entries: list[Entry] = field(default_factory=list)
    """To append in this order; `pos` and `hash` are given here."""
    waits: dict[str, str | None] = field(default_factory=dict)
    """Group -> what it waits for; None: it waits no longer."""
    erased: list[Key] = field(default_factory=list)
    """Rows to erase; `writes` lets them leave every scope in which they ever were."""
    emptied: set[str] = field(default_factory=set)
    """Cids whose earlier log entries lose body, key, field and detail."""
    unmatched: set[str] = field(default_factory=set)
    """Customers of whom it is to be asked anew who else they may be."""
    matched: set[str] = field(default_factory=set)
    """Those of whom it was asked."""
    scan: bool = False
    """Ask it of every customer that there is."""
    due: set[str] = field(default_factory=set)
    """Customers that are to be looked at: where they stand may be another place now. Those who are named by
    facts that one of the written ones corrects, or is corrected by, are found by storage."""
    swept: set[Concern] = field(default_factory=set)
    """Look at all customers whom one of these concerns, by and by."""
    incarnation: Incarnation | None = None
    stamp_max: int = 0
    at_ms: int = 0
    """When, by the server's clock: departures and marks are kept by it."""


class Commit(NamedTuple):
    seq: int
    mark: str


class Writer(Reader, Protocol):
    """The one write transaction: unscoped. Leaving it by an exception undoes all."""

    async def rows(self, keys: Iterable[Key]) -> dict[Key, Row]:
        """Each of these rows with all documents and places (left ones too), and which unit saw it when.

        An empty Row where there is none. A row that was erased is empty too, and says so.
        Statements grow with the number of entities, not of keys. An entity nobody declared gives no Row.
        """
        ...

    async def entries(self, cids: Iterable[str]) -> dict[str, Entry]:
        """What the log knows of these cids: the entry with the body, under the latest verdict, code, field,
        detail, stamp, and closed; `pos` is that of the entry with the body."""
        ...

    async def dependents(self, customers: Iterable[str]) -> list[Row]:
        """Every row that names one of these customers (links, interactions), with documents and places.

        In order of entity and id, so that the same history gives the same seqs.
        """
        ...

    async def kin(self, customers: Iterable[str]) -> list[Row]:
        """Every identity decision between two of these customers and those whom `same` connects with them.

        In order of id, with documents and places. One statement, however long the ways are, besides `rows`.
        """
        ...

    async def expired(self, before_ms: int, limit: int) -> list[tuple[str, str]]:
        """(customer, unit) of the sightings that are older, the oldest first."""
        ...

    async def placed_before(
        self, at: str, limit: int, after: tuple[str, str] | None = None
    ) -> list[tuple[str, str]]:
        """(`at`, id) of the interactions before an instant that a scope holds, in that order, beyond one."""
        ...

    async def about(self, ids: Iterable[str], named: Iterable[str]) -> list[Entry]:
        """Every change about a row with one of these ids, or whose body holds one of the named texts.

        In order of `pos`, as `entries` gives them. Looks through the whole log.
        """
        ...

    async def members(self, groups: Iterable[str]) -> list[Entry]:
        """Every change of these groups, and the open ones that replace any of them.

        In order of `pos`, as `entries` gives them.
        """
        ...

    async def waiting(self, keys: Iterable[str]) -> list[str]:
        """The groups that wait for one of these, oldest first."""
        ...

    async def unmatched(self, limit: int) -> list[str]:
        """Customers of whom it is to be asked who else they may be, in order of id."""
        ...

    async def alike(self, customers: Iterable[str]) -> list[Alike]:
        """Whoever has an identity key in common with one of these, or the spoken name with birth or address.

        Archived customers are like nobody. What more than `SHARED_MAX` customers have in common (archived
        ones too: a shop's own phone) tells nothing of a person; `?` phones neither. Each pair and path once,
        the smaller id first, in order. Statements do not grow with customers.
        """
        ...

    async def incarnation(self, id: str) -> Incarnation | None: ...

    async def settled(self, before_ms: int, limit: int, erased: bool) -> list[str]:
        """The ids of verdict rows that are final, were written before then, and still stand in a scope.

        Final: accepted or closed. `erased` chooses between those that say so and all others. In order of seq.
        """
        ...

    async def commit(self, batch: Batch) -> Commit:
        """Write all of it, durably, and end the transaction.

        Documents are stored byte for byte with their hash; columns and index entries follow them. A
        block of consecutive seqs, one for each feed entry, is taken at the very end, so commit order is
        seq order; a (scope, row) has one entry: its latest. A commit without any takes one seq all the
        same, so every commit has a last seq of its own. The digest of every scope is kept. The log
        is hashed from its last entry on. An incarnation that takes numbers makes those of its device that
        began after it clones. A mark is written beside the last seq. When this returns,
        power may fail. Call it once, last.

        An erased row loses documents, columns, index entries and sightings; its id, also one that never was
        a row's, is a tombstone for ever. The hashes of emptied entries still verify. `scrub` destroys bytes.
        """
        ...


class Storage(Protocol):
    registry: Registry

    @property
    def chain(self) -> Chain: ...

    async def open(self) -> None:
        """Open, and create or migrate.

        `LocalError` file_foreign, file_newer, file_unfinished, file_damaged.
        """
        ...

    async def close(self) -> None:
        """Wait for the writer, then close everything. Idempotent."""
        ...

    def reader(self, scopes: frozenset[str]) -> AbstractAsyncContextManager[Reader]:
        """A scoped reader. `ValueError` for a level's scope without the internal one beneath it."""
        ...

    def unscoped_reader(self) -> AbstractAsyncContextManager[Reader]: ...

    def writer(self) -> AbstractAsyncContextManager[Writer]:
        """The write transaction, alone. Left without `commit`, or cancelled anywhere, it leaves no trace."""
        ...

    async def listen(self, on_commit: Callable[[frozenset[str] | None, int | None], None]) -> None:
        """Tell of every commit, also of other processes, which scopes it touched, until cancelled; None: any.
        And its last seq.

        Where an engine tells nothing of others it returns at once. What was told twice is told twice; after
        a time without connection comes a None.
        """
        ...

    async def new_epoch(self) -> str:
        """Draw and store another epoch: somebody has seen commits that this database does not know."""
        ...

    async def compact(self, before_ms: int) -> int:
        """Drop departures, and marks, of commits before then; the floor, up to which they are gone.

        The mark at the floor stays, and so do tombstones of what was erased. Verdict rows that no scope holds
        or has departures of go too. Idempotent; the floor never falls.
        """
        ...

    async def scrub(self) -> None:
        """See to it that no byte of what was erased is left in what is kept; nothing to do, nothing done.

        Rewrites the file. `Refused`: busy (a reader stays on an older snapshot), storage_full; what is left
        is done by the next call.
        """
        ...

    # --- where customers stand; none of it is a commit, or takes a seq ---

    async def claim(
        self, worker: str, now_ms: int, held_ms: int, limit: int, others: int | None = None
    ) -> list[Due]:
        """Take customers that are due, `limit` at most; nobody else gets them for `held_ms`.

        Those of whom something was written. Only where nobody is, those who are due for another reason,
        longest first and `others` at most: whoever is written of meanwhile waits no longer than for these.
        """
        ...

    async def conclude(
        self, worker: str, seq: int, checked: Sequence[Checked], left: Iterable[str] = ()
    ) -> list[Movement]:
        """Keep what was found as of this seq, each whole or not at all; what moved, numbered.

        Nothing of a person one of whom another worker has taken since, or was erased; where a commit after
        `seq` made one due again, it stays due, and nothing is kept. `left` are given back as they were.
        """
        ...

    async def sweep_on(self, now_ms: int, limit: int) -> bool:
        """Make those of the next customers due whom something concerns that changed since somebody looked.

        Whether there were any to ask.
        What changes meanwhile is asked of the rest of this round, and of all in one more.
        """
        ...

    async def verify_log(self) -> int:
        """Check the log's chain of hashes, every body that is still there, and that its end is; the number.

        `LocalError("file_damaged")` names the first entry that does not fit.
        """
        ...
