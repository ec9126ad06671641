"""What storage keeps of where customers stand: who is to be looked at again, what was found, what moved.

    recheck      a row for each customer that was ever looked at or is to be: when it is due, and until when
                 somebody is at it
    standing     the values of schemes, membership the segments: of each person, under its survivor's id
    deed         the facts that count of each person, and deed_line their lines, for rules in SQL
    movement     every change of them, append-only
    swept        what changed that many customers may stand elsewhere by, and
    sweep        how far those of them whom it concerns were made due

None of it is synced: tablets compute the same from what they hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from regulars_schema.declare import JSON

HOPS = 2
"""So many links further others are looked at as well when a row changed (`rules.tree.LINKS_MAX`)."""

MOVED = "*moved"
"""No scope: whoever waits for it is told when anybody moved."""

MEMBER = "member"
"""What a movement of a membership comes from or leads to."""

What = Literal["standing", "membership"]
Swept = Literal["all", "buyers", "product", "unit"]


class Concern(NamedTuple):
    """What changed, of those things by which more customers may stand elsewhere than are named by it.

    Concerned are `all`, the `buyers`, who bought something of a `product`, or who is at home in a `unit` or
    below it; also whoever is looked at meanwhile, since what is kept of them may be from before.
    """

    what: Swept
    key: str = ""
    """The id of the product or unit."""


EVERYBODY = Concern("all")
BUYING = ("purchase", "return")
"""The kinds of facts by which somebody is a buyer."""


class Due(NamedTuple):
    """A customer that is to be looked at now."""

    customer: str
    hops: int
    """How many links further others are to be looked at as well."""
    seen: int | None
    """The seq as of which it was looked at last; None: never."""
    since: int | None = None
    """From when on, where time alone makes it due; None: something was written or changed."""


class Movement(NamedTuple):
    """Somebody has another value in a scheme, or came into a segment or left it."""

    n: int
    """In the order in which they were found; 0: given by storage."""
    at_ms: int
    """When it was found; where time alone moved somebody, the instant at which it did."""
    customer: str
    what: What
    key: str
    """Of the scheme, or the segment's id."""
    before: str | None
    """The value; of a membership `MEMBER`, or None."""
    after: str | None
    reason: JSON = None


DEED = (
    "id",
    "at",
    "kind",
    "unit",
    "staff",
    "channel",
    "stage_reached",
    "outcome",
    "role",
    "effort_min",
    "rating",
)
LINE = ("product", "category", "quantity", "amount", "cost", "currency")


class Counted(NamedTuple):
    """A fact that counts, of one person."""

    deed: tuple[JSON, ...]
    """In the order of `DEED`."""
    lines: tuple[tuple[JSON, ...], ...] = ()
    """Each in the order of `LINE`."""

    @property
    def at(self) -> str:
        return str(self.deed[DEED.index("at")])


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found of one person. Only what differs from what is kept is written."""

    customer: str
    """The survivor."""
    members: Sequence[str]
    """All who are this person, the survivor too; nothing is kept of the others any more."""
    due_ms: int | None
    """When it is to be looked at again although nothing happens."""
    standing: Sequence[tuple[str, str, int]] = ()
    """(scheme, value, since) that are new."""
    no_standing: Sequence[tuple[str, str, str]] = ()
    """(member, scheme, value) that are no more."""
    membership: Sequence[tuple[str, int]] = ()
    no_membership: Sequence[tuple[str, str]] = ()
    movements: Sequence[Movement] = ()
    others: Sequence[str] = ()
    """Who is to be looked at because of it, `hops` links further."""
    hops: int = 0
    counted: Sequence[Counted] = ()
    """All facts of the person that count."""


class Home(NamedTuple):
    """Units of one currency."""

    currency: str
    units: tuple[str, ...]


class Cuts(NamedTuple):
    """What divides those who bought: the ends of fifths but the last, lowest first."""

    recency: tuple[str, ...] = ()
    """Instants of the last purchase, latest first."""
    frequency: tuple[int, ...] = ()
    spend: tuple[int, ...] = ()
    margin: tuple[int, ...] = ()
    pareto: tuple[int, ...] = ()
    """The least margin of those who bring four fifths together; empty where nobody brings any."""


class Sweep(NamedTuple):
    """How far customers were made due since a rule changed, or what they are measured by."""

    reached: int
    """So many were asked whether it concerns them."""
    total: int
    waiting: int
    """So many of whomever are due and not looked at yet."""
