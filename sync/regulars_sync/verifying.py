"""Values that a person has yet to verify (S22, S23): who wrote them, what waits, and what a verdict writes.

What a customer fills in by itself is pending, and one task of the customer asks somebody to look at it. What
neither staff wrote nor anybody verified has not seen a verified value, so it never takes its place: it stands
beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from regulars_schema.declare import JSON, Entity
from regulars_sync.changes import Source, Value, Verified
from regulars_sync.history import as_written
from regulars_sync.merge import Candidate, Registers, choose

PLAN = "verify"
CLOSED = frozenset({"expired", "cancelled", "skipped", "done"})


def standing_of(source: Source | None) -> Verified | None:
    """Whether a value of this source waits to be verified."""
    return "pending" if source == "self_form" else None


def may_see(written: Value, standing: Candidate | Value) -> bool:
    """Whether a value takes the place of one that stands there."""
    is_weaker = written.source not in (None, "staff_visit") and written.verified != "verified"
    return not is_weaker or standing.verified != "verified"


def pending(registers: Registers) -> list[str]:
    """The paths in which a value waits to be verified."""
    return sorted(p for p, r in registers.items() if any(c.verified == "pending" for c in r.values.values()))


def task(customer: str, day: str, tasks: Mapping[str, str]) -> dict[str, JSON] | None:
    """The fields of the task to verify what came on a day; None while one is open.

    `tasks` are the customer's of the plan, subject -> status. Two who notice it on one day make one task.
    """
    if any(status not in CLOSED for status in tasks.values()):
        return None
    subject, number = day, 1
    while subject in tasks:
        number += 1
        subject = f"{day} {number}"
    return {"plan": PLAN, "customer": customer, "subject": subject, "due": day, "status": "open"}


def judged(entity: Entity, path: str, values: Iterable[Candidate], cid: str | None, is_true: bool) -> Value:
    """What a change that has seen all of these writes: the verified value, or what is left without it.

    Meant is the value of this cid; without one that which waits, or the one that is shown. A rejected value
    yields to another that stands beside it; where none does it stays, and says so. `KeyError` when the value
    does not stand there.
    """
    field = entity.at(path)[0]
    given = {value.cid: value for value in values}
    if not given:
        raise KeyError(path)
    waiting = [value for value in given.values() if value.verified == "pending"]
    meant = given[cid] if cid is not None else choose(field, waiting or given.values())
    others = [value for value in given.values() if value.cid != meant.cid]
    if is_true:
        return Value(meant.value, as_written(meant).source, "verified")
    if others:
        return as_written(choose(field, others))
    return Value(meant.value, as_written(meant).source, "rejected")
