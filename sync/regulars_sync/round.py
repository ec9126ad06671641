"""One sync round as a generator: it yields what is to be done and is sent what came of it.

The same body serves every driver: asyncio with HTTP, blocking scripts, and the simulator on
virtual time. A driver answers each step:

    Fetch     get a snapshot         -> Fetched; None when there is none to be had, or a cursor is there.
                                        The pulls go on from the cursor in it
    Pull      send a pull            -> PullAnswer, or Problem
    Stage     keep a page durably    -> None; Problem when there is no room for it
    Apply     stage -> replica       -> None   rows, cursor and acks in one transaction; Problem
                                        when the digests say that the replica is damaged, and where
    Compare   ask where it differs   -> PullAnswer, or Problem; also for what belongs there
    Reset     forget the cursor      -> None   the next pages to be applied replace every row
    Outgoing  what to push next      -> PushRequest or None; stamps are fixed, a changed
                                        history takes a new incarnation here
    Push      send it                -> PushAnswer, or Problem
    Renew     take a new incarnation -> None   the server expects other numbers than we have
    Wipe      delete, and say so     -> None   the device was shut out

Being offline is not a step's answer: the driver throws `Offline` in, and the round ends. A pull
that is refused still tells what a push needs, so the round goes on to push.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field

from regulars_sync.errors import Offline
from regulars_sync.protocol import Acked, Contact, Problem, PullAnswer, PushAnswer, PushRequest, Verdict

RENEWALS_MAX = 3
RESETS_MAX = 2
COMPARES_MAX = 32
"""Half of what a page of buckets may bring, so many times, is far more than is mended in this way."""
STALE = frozenset({"epoch_changed", "cursor_invalid", "cursor_expired"})
"""Refusals after which everything is pulled anew."""
COUNTED = frozenset({"applied", "merged", "held", "rejected"})


@dataclass(frozen=True, slots=True)
class Fetch:
    pass


@dataclass(frozen=True, slots=True)
class Fetched:
    bytes: int
    """That came in this round."""
    rows: int


@dataclass(frozen=True, slots=True)
class Pull:
    pass


@dataclass(frozen=True, slots=True)
class Stage:
    page: PullAnswer


@dataclass(frozen=True, slots=True)
class Apply:
    page: PullAnswer


@dataclass(frozen=True, slots=True)
class Compare:
    """Ask for the bucket digests of these scopes, and for what these buckets hold."""

    scopes: tuple[str, ...]
    buckets: Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True)
class Reset:
    pass


@dataclass(frozen=True, slots=True)
class Outgoing:
    contact: Contact


@dataclass(frozen=True, slots=True)
class Push:
    request: PushRequest


@dataclass(frozen=True, slots=True)
class Renew:
    incarnation: str
    expect: int
    """The number that the server expects next of this incarnation."""


@dataclass(frozen=True, slots=True)
class Wipe:
    """Delete every row, and what the server has of the outbox; then tell the server."""

    acks: dict[str, Acked] | None
    """What of the outbox may go; None: all of it."""


Step = Fetch | Pull | Stage | Apply | Compare | Reset | Outgoing | Push | Renew | Wipe
Reply = Fetched | PullAnswer | PushAnswer | PushRequest | Problem | None


@dataclass(slots=True)
class SyncReport:
    """What one round did. `problem` says why it could not do all."""

    pushed: int = 0
    pulled: int = 0
    left: int = 0
    applied: int = 0
    merged: int = 0
    held: int = 0
    rejected: int = 0
    pages: int = 0
    repaired: dict[str, int] = field(default_factory=dict)
    """Scope -> rows that came anew because what is held there differed from the server's."""
    snapshot_bytes: int = 0
    """What came of a snapshot; its rows count as pulled."""
    renewals: int = 0
    wiped: bool = False
    """The device was shut out: what it held is deleted. `problem` says whether the server knows."""
    equal: bool = False
    """Whether the digests of every scope were compared and equal."""
    verdicts: list[Verdict] = field(default_factory=list)
    problem: Problem | None = None


Round = Generator[Step, Reply, SyncReport]


def sync_round() -> Round:
    """Pull to the head, push what is pending, and pull again when something was pushed.

    A revoked device wipes itself once nothing it had is unacknowledged; one that is ordered to wipe does
    it at once. Both do so again until the server has heard of it. When `Offline` is thrown in, the report
    says so beside all that was done until then.
    """
    report = SyncReport()
    try:
        yield from _fetch(report)
        contact = yield from _pull(report)
        if contact is not None:
            pushed, refused = yield from _push(report, contact)
            if pushed:
                contact = yield from _pull(report)
            report.problem = refused or report.problem
        code = report.problem.code if report.problem else None
        if code == "device_wipe" or (code == "device_revoked" and contact is not None):
            report.wiped = True
            yield Wipe(contact.acks if code == "device_revoked" and contact else None)
    except Offline as offline:
        report.equal = False
        report.problem = Problem(offline.code, offline.text(), offline.detail, retryable=True)
    return report


def _fetch(report: SyncReport) -> Generator[Step, Reply, None]:
    """A replica without a cursor starts with a snapshot, where there is one."""
    fetched = yield Fetch()
    if isinstance(fetched, Fetched):
        report.snapshot_bytes += fetched.bytes
        report.pulled += fetched.rows


def _pull(report: SyncReport) -> Generator[Step, Reply, Contact | None]:
    resets = compares = 0
    cursor: str | None = None
    contact: Contact | None = None
    asking: Pull | Compare = Pull()
    while True:
        answer = yield asking
        if isinstance(answer, Problem):
            is_new = answer.code in STALE or (isinstance(asking, Compare) and not answer.retryable)
            if is_new and resets < RESETS_MAX:
                resets += 1
                cursor = None
                asking = Pull()
                yield Reset()
                yield from _fetch(report)
                continue
            report.problem = answer
            return answer.contact or contact
        assert isinstance(answer, PullAnswer)
        if answer.head is None and answer.cursor == cursor:
            report.problem = Problem("answer_invalid", retryable=True)
            return None
        cursor = answer.cursor
        contact = Contact(answer.now, answer.acks)
        asking = Pull()
        report.pages += 1
        report.pulled += sum(len(rows.rows) for rows in answer.pages)
        report.left += sum(len(rows.left) for rows in answer.pages)
        unkept = yield Stage(answer)
        if isinstance(unkept, Problem):
            report.problem = unkept
            return contact
        if answer.head is None:
            continue
        for part in answer.contents:
            came = sum(len(rows.rows) for rows in part.rows)
            report.repaired[part.scope] = report.repaired.get(part.scope, 0) + came
        damage = yield Apply(answer)
        report.equal = damage is None
        report.problem = damage if isinstance(damage, Problem) else None
        if not isinstance(damage, Problem):
            return contact
        buckets = damage.detail.get("buckets")
        if (buckets is None or buckets) and compares < COMPARES_MAX:
            compares += 1
            asking = Compare(tuple(damage.detail["scopes"]), buckets or {})
        elif resets < RESETS_MAX:
            resets += 1
            cursor = None
            yield Reset()
            yield from _fetch(report)
        else:
            return contact


def _push(report: SyncReport, contact: Contact) -> Generator[Step, Reply, tuple[bool, Problem | None]]:
    """Whether anything was pushed, and what ended it. Each answer moves on or counts, so it ends."""
    pushed = False
    gaps = 0
    acks = dict(contact.acks)
    while True:
        request = yield Outgoing(Contact(contact.now, dict(acks)))
        if request is None:
            return pushed, None
        assert isinstance(request, PushRequest)
        answer = yield Push(request)
        if isinstance(answer, PushAnswer):
            pushed = True
            acks[request.incarnation] = answer.acked
            report.pushed += len(answer.verdicts)
            for verdict in answer.verdicts:
                if verdict.verdict in COUNTED:
                    setattr(report, verdict.verdict, getattr(report, verdict.verdict) + 1)
                report.verdicts.append(verdict)
            if answer.acked.n < request.n:
                return pushed, Problem("answer_invalid", retryable=True)
            continue
        assert isinstance(answer, Problem)
        expect = answer.detail.get("expect")
        if (
            answer.code in {"number_gap", "number_taken"}
            and isinstance(expect, int)
            and report.renewals < RENEWALS_MAX
            and gaps <= RENEWALS_MAX
        ):
            held = acks.get(request.incarnation)
            if answer.code == "number_gap" and isinstance(answer.detail.get("trail"), str):
                acks[request.incarnation] = Acked(expect - 1, answer.detail["trail"])
                if held is None or held.n != expect - 1:
                    gaps += 1
                    continue
            report.renewals += 1
            yield Renew(request.incarnation, expect)
            continue
        return pushed, answer
