"""A chain of tablets on virtual time: carries out a plan's events, lets things go wrong, keeps the story.

Real SQLite files, real bytes, the real SDK and the server's real core; no sockets, no threads, no
event loop: nothing ever waits, so a coroutine is run by hand, and stands still only where a message
is on its way. Time and randomness come from here alone.
"""

from __future__ import annotations

import random
import re
import shutil
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson
import zstandard

from regulars_schema.entities import REGISTRY
from regulars_server import identities, retention
from regulars_sync.errors import LocalError, Offline
from regulars_sync.ids import ENTROPY_BYTES, uuid7
from regulars_sync.log import Entry
from regulars_sync.round import SyncReport
from tests.simulation import deeds
from tests.simulation.attack import Liar
from tests.simulation.by_hand import run
from tests.simulation.hq import HeadOffice, ServerCrash, Token
from tests.simulation.plan import HEAD_OFFICE, REGION, Event, describe
from tests.simulation.tablet import Tablet, TabletCrash
from tests.simulation.trouble import SAID

START_MS = 1_795_300_000_000
DEPARTURES_DAYS = 400
LEAP_MS = (DEPARTURES_DAYS + 1) * 86_400_000
LIVENESS_MS_MAX = 10 * 60_000
LIVENESS_ROUNDS = 8
OPEN_ENTRIES = 50
COUNTRIES = ("CN", "CN", "SG")
LIAR_AT = 0
"""The number of the branch in which the liar stands."""
CANARY = re.compile(rb"ca-([0-9])-([a-p]{0,8})")


class Failure(AssertionError):
    """A law that did not hold."""


class World:
    """Lane L1: a round is a coroutine run by hand, its messages are carried by `deliver`."""

    head_office_deeds = deeds.HEAD_OFFICE_DEEDS

    def __init__(self, chain: dict[str, Any], folder: Path, tell: bool = False) -> None:
        self.folder = folder
        self.tell = tell
        self.ms = START_MS
        self.random = random.Random(chain["seed"])
        self.trace = blake2b(digest_size=8)
        self.faults: Counter[str] = Counter()
        self.sometimes: Counter[str] = Counter()
        self.is_calm = False
        """Faults have stopped."""
        self.server = self.new_server(chain["page_rows"], chain.get("snapshot_rows_min"))
        self.units: list[str] = []
        self.customers: dict[str, int] = {}
        """Every customer ever registered -> the number of its first home."""
        self.movers: set[str] = set()
        """Customers that may move to another branch; the others carry their branch's canary."""
        self.about: dict[str, tuple[str, ...]] = {}
        """Text with a canary -> the customers that it is about."""
        self.persons: dict[str, frozenset[str]] = {}
        """Customer -> all who were ever the same person, at once or one after the other."""
        self._told_of = 0
        """How far the log was read for who is the same."""
        self.registered_by_liar: set[str] = set()
        self.groups: dict[str, list[str]] = {}
        """Tag that one transaction puts on several customers -> those customers."""
        self.late: list[tuple[str, bytes, str | None]] = []
        """Pushes that the network kept back."""
        self.leapt_ms = 0
        """How much longer it took than was planned."""
        self.lost: set[str] = set()
        """Changes that are gone because the last file that held them was copied over."""
        self.epochs = {self.server.storage.chain.epoch}
        self.tablets: dict[int, Tablet] = {}
        self.liar: Liar | None = None
        self.freed: set[str] = set()
        """Groups that head office's word let in."""
        self.aged: list[tuple[int, int]] = []
        """(last place in the log, time) of each time the server looked what had grown old."""
        self._aged_then: list[tuple[int, int]] = []
        self.overheard: list[tuple[str, bytes]] = []
        """Pushes of others, as somebody in the network sees them."""
        self._found(chain)

    # --- time, randomness, story --------------------------------------------------------------------------

    def now_ms(self) -> int:
        self.ms += 1
        return self.ms

    def reach(self, ms: int) -> None:
        """Let time pass up to then."""
        self.ms = max(self.ms, ms)

    def entropy(self, count: int) -> bytes:
        return self.random.randbytes(count)

    def new_id(self) -> str:
        return uuid7(self.now_ms(), self.entropy(ENTROPY_BYTES))

    def say(self, text: str) -> None:
        self.trace.update(text.encode())
        if self.tell:
            print(text)

    def check(self, holds: bool, law: str, *about: Any) -> None:
        if not holds:
            raise Failure(law, *about)

    # --- founding -------------------------------------------------------------------------------------------

    def new_server(self, page_rows: int, snapshot_rows_min: int | None) -> HeadOffice:
        path = self.folder / "chain.db"
        return HeadOffice(path, self.now_ms, self.entropy, page_rows, snapshot_rows_min)

    def new_tablet(self, *given: Any) -> Tablet:
        return Tablet(self, *given)

    def _found(self, chain: dict[str, Any]) -> None:
        company = self.new_id()
        self._create("unit", company, {"name": "hq", "kind": "company", "country": "CN"})
        for i in range(chain["branches"]):
            self.units.append(self.new_id())
            fields = {"name": f"branch {i}", "kind": "branch", "parent": company, "country": COUNTRIES[i]}
            self._create("unit", self.units[i], fields)
        self.company = company
        self.region = self.new_id()
        fields = {"name": "region", "kind": "region", "parent": company, "country": "CN"}
        self._create("unit", self.region, fields)
        self.segments = [self.new_id() for _ in range(2)]
        for id in self.segments:
            self._create("segment", id, {"name": f"segment {id[-3:]}"})
        for i, given in enumerate(chain["tablets"]):
            is_branch = given["unit"] >= 0
            numbers = (given["unit"],) if is_branch else range(chain["branches"])
            above = {HEAD_OFFICE: company, REGION: self.region}
            unit = self.units[given["unit"]] if is_branch else above[given["unit"]]
            tablet = self._place(i, frozenset(numbers), unit, given["sensitive"], given.get("is_old", False))
            self.pair(tablet)

    def pair(self, tablet: Tablet) -> None:
        """Head office invites it, also anew: from now on it is another device."""
        self.server.trouble.end()  # nobody is enrolled by a server that can't write (seed 520792)
        device = self.new_id()
        self._create("device", device, {"name": f"tablet {tablet.index}", "unit": tablet.unit})
        self.server.invited[device] = Token(device, tablet.unit, tablet.sensitive)
        tablet.fault = tablet.fuse = None
        tablet.trouble.end()
        self._drive(tablet.shop.pair("http://hq", device))
        tablet.bearer = tablet.shop._said["token"]

    def _place(self, index: int, *given: Any) -> Tablet:
        tablet = self.tablets[index] = self.new_tablet(index, *given)
        return tablet

    def _create(self, entity: str, id: str, fields: dict[str, Any]) -> None:
        ruling = self.server.write("create", entity, id, fields)
        assert ruling is not None
        assert ruling.verdict == "applied"

    @property
    def paired(self) -> dict[str, str]:
        """Device -> the unit that its token names."""
        return {token.device: token.unit for token in self.server.tokens.values()}

    def token_of(self, tablet: Tablet) -> Token:
        """That of the device that it is, or was last: a wiped one knows its own no more."""
        tablet.bearer = tablet.shop._said.get("token") or tablet.bearer
        return self.server.tokens[tablet.bearer]

    # --- events ---------------------------------------------------------------------------------------------

    def play(self, events: Sequence[Event]) -> None:
        """Carry out the events in their order, then let faults stop and everything settle."""
        for event in events:
            at, do, index, draw, *more = event
            self.reach(START_MS + at + self.leapt_ms)
            self.random.seed(draw)
            self.say(describe(event))
            if index == HEAD_OFFICE:
                self.server.trouble.end()
                deed = self.head_office_deeds.get(do)
                if deed is not None:
                    self.say(f"    {deed(self)}")
                else:
                    getattr(self, f"do_{do}")()
                continue
            tablet = self.tablets.get(index)
            if tablet is None:
                continue
            if do in deeds.TABLET_DEEDS:
                self.write(tablet, do)
            else:
                getattr(self, f"do_{do}")(tablet, *more)

    def write(self, tablet: Tablet, kind: str) -> None:
        try:
            outcome = run(deeds.TABLET_DEEDS[kind](self, tablet))
        except LocalError as error:
            outcome = f"refused here: {error.code}"
            self.sometimes["refused on the tablet"] += 1
        except TabletCrash:
            outcome = "the tablet crashed"
            self.faults["crash in a write"] += 1
            tablet.restart()
        cids = tablet.acknowledge()
        self.say(f"    {outcome} {[cid[:6] for cid in cids]}")

    def do_offline_day(self, tablet: Tablet) -> None:
        self.faults["offline day"] += 1

    def do_clock(self, tablet: Tablet, jump_ms: int) -> None:
        tablet.skew_ms = jump_ms
        way = "ahead" if jump_ms > 0 else "behind" if jump_ms < 0 else "set right"
        self.faults[f"clock {way}"] += 1

    def do_crash_write(self, tablet: Tablet, step: int) -> None:
        tablet.fuse = step
        self.write(tablet, "group")
        tablet.fuse = None

    def do_disk_write(self, tablet: Tablet, kind: str, statement: int) -> None:
        """A write at a moment when the file system fails."""
        tablet.trouble.begin(kind, statement)
        self.write(tablet, "group")
        self.faults[f"tablet's disk: {kind}"] += tablet.trouble.met
        tablet.trouble.end()

    def do_upgrade(self, tablet: Tablet) -> None:
        """The shop tool on it is replaced by the present one."""
        self.faults["tablet upgraded"] += tablet.registry is not REGISTRY
        tablet.registry = REGISTRY
        tablet.restart()

    def do_sync(self, tablet: Tablet, fault: str | None = None, at: int = 0) -> None:
        self._finish(tablet, self._begin(tablet, fault, at))

    def do_cross(self, tablet: Tablet) -> None:
        """Two rounds at the same time, their messages in a random order."""
        other = self.random.choice([t for t in self.tablets.values() if t is not tablet])
        going = [(tablet, self._begin(tablet, None, 0)), (other, self._begin(other, None, 0))]
        self.faults["reordered"] += 1
        while going:
            turn = self.random.randrange(len(going))
            if self._step(*going[turn]):
                del going[turn]

    def do_mid_write(self, tablet: Tablet) -> None:
        """People go on working while a round is under way."""
        round_ = self._begin(tablet, None, 0)
        self.faults["write in a round"] += 1
        while not self._step(tablet, round_):
            if self.random.random() < 0.5:
                self.write(tablet, self.random.choice(("create", "edit", "record", "group")))

    def do_late(self) -> None:
        if self.late:
            path, body, token = self.late.pop(self.random.randrange(len(self.late)))
            status, _ = self._serve(path, body, token)
            self.faults["old push delivered"] += 1
            self.say(f"    an old push arrives: {status}")

    def do_attack(self) -> None:
        if self.liar is None:
            self.liar = self.new_liar()
        self.say(f"    {self.liar.attack()}")

    def new_liar(self) -> Liar:
        device = self.new_id()
        self._create("device", device, {"name": "liar", "unit": self.units[LIAR_AT]})
        bearer = self.entropy(8).hex()
        self.server.tokens[bearer] = Token(device, self.units[LIAR_AT], False)
        return Liar(self, device, bearer)

    def send(self, path: str, body: bytes, bearer: str) -> tuple[int, bytes]:
        """A request that no tablet of ours makes."""
        return self._serve(path, body, bearer)

    def check_canaries(self, numbers: frozenset[int], said: bytes, law: str, *about: Any) -> None:
        """Nothing in these bytes is of a branch but these, or of who was one with a customer of these."""
        for found in CANARY.finditer(said):
            number = int(found[1])
            if (
                number < len(self.units)
                and number not in numbers
                and not self._may_stray(found[2].decode(), numbers)
            ):
                at = found.start()
                self.check(False, law, *about, said[max(0, at - 400) : at + 200].decode(errors="replace"))

    def _may_stray(self, text: str, numbers: frozenset[int]) -> bool:
        """Whether they were; of the text a page of a file may hold but the beginning."""
        self.note_persons()
        texts = [text] if len(text) == 8 else [known for known in self.about if known.startswith(text)]
        named = {id for known in texts for id in self.about.get(known, ())}
        members = {member for id in named for member in self.persons.get(id, ())}
        if members:
            self.sometimes["a canary followed a merge"] += 1
        if LIAR_AT in numbers and (named | members) & self.registered_by_liar:
            return True
        if any(self._registered_anew(id) & numbers for id in named):
            self.sometimes["a customer was registered anew elsewhere"] += 1
            return True
        return bool(members & self.movers) or any(self._first_home(id) in numbers for id in members)

    def _first_home(self, id: str) -> int:
        """The number of the branch that registered it; the liar registers for whichever it likes."""
        if id not in self.customers:
            found = self.log("SELECT home_unit FROM customer WHERE id = ? AND home_unit IS NOT NULL", id)
            return self.units.index(found[0][0]) if found and found[0][0] in self.units else LIAR_AT
        return self.customers[id]

    def _registered_anew(self, id: str) -> set[int]:
        """Where the server took it when it did not know it, or had forgotten it (seed 500052)."""
        sql = "SELECT detail FROM log WHERE id = ? AND entity = 'customer' AND verdict = 'applied'"
        filled = [orjson.loads(detail).get("filled", {}) for (detail,) in self.log(sql, id) if detail]
        return {self.units.index(home) for f in filled if (home := f.get("home_unit")) in self.units}

    def note_persons(self) -> None:
        """Who was the same person by now, also of what a restored server has forgotten since.

        And whom the liar registered first, with what it heard from others: they were seen where it stands.
        """
        if self.liar is not None:
            sql = "SELECT id FROM log WHERE device = ? AND entity = 'customer' AND verdict = 'applied'"
            self.registered_by_liar |= {id for (id,) in self.log(sql, self.liar.device)}
        ((last,),) = self.log("SELECT ifnull(max(pos), 0) FROM log")
        sql = (  # also what was refused first, and let through by head office
            "SELECT i.one, i.other, b.body FROM log a JOIN log b ON b.cid = a.cid AND b.body IS NOT NULL"
            " JOIN identity i ON i.id = a.id"
            " WHERE a.pos > ? AND a.entity = 'identity' AND a.verdict IN ('applied', 'merged') ORDER BY a.pos"
        )
        for one, other, body in self.log(sql, self._told_of):
            if orjson.loads(body)["fields"].get("decision", {}).get("value") == "same":
                both = self.persons.get(one, frozenset({one})) | self.persons.get(other, frozenset({other}))
                self.persons.update(dict.fromkeys(both, both))
        self._told_of = last

    def do_back_up(self, tablet: Tablet) -> None:
        tablet.back_up()

    def do_restore(self, tablet: Tablet) -> None:
        """Its files are copied back: what only they held is gone."""
        if not tablet.has_backup():
            return
        before = {cid for (cid,) in tablet.outbox("SELECT cid FROM change")}
        tablet.restore()
        self._note_lost(before)
        self.faults["tablet restored"] += 1

    def do_clone(self, tablet: Tablet, slot: int) -> None:
        other = self._place(slot, tablet.units, tablet.unit, tablet.sensitive)
        other.registry, other.ever, other.roams = tablet.registry, tablet.ever, tablet.roams
        tablet.clone(other)
        self.faults["tablet cloned"] += 1

    def do_revoke(self, tablet: Tablet) -> None:
        token = self.token_of(tablet)
        token.revoked = True
        self.server.write("edit", "device", token.device, {"revoked": True})
        self.faults["tablet revoked"] += 1

    def do_damage(self, tablet: Tablet, what: str) -> None:
        """Its disk loses something; it is switched off and on, and finds it as soon as it may sync."""
        if tablet.damage(what, self.random):
            self.faults[what] += 1
            tablet.restart()
            self.do_sync(tablet)

    def do_years(self) -> None:
        """More than a year passes: departures are dropped, and backups that are too old to be restored."""
        self.leapt_ms += LEAP_MS
        self.reach(self.ms + LEAP_MS)
        run(retention.tidy(self.server.storage, self.ms, DEPARTURES_DAYS))
        if self.server.backup.exists():
            self.do_back_up_server()
        self.faults["departures dropped"] += 1

    def age(self) -> None:
        """The server looks what has grown old, as it does every hour."""
        ((last,),) = self.log("SELECT ifnull(max(pos), 0) FROM log")
        before = self.log("SELECT count(*) FROM seen")
        self.aged.append((last, self.ms + 1))
        run(self.server.ageing.once())
        self.sometimes["sightings ended"] += before != self.log("SELECT count(*) FROM seen")

    def do_back_up_server(self) -> None:
        self.server.back_up()
        self._aged_then = list(self.aged)

    def do_restore_server(self) -> None:
        if not self.server.backup.exists():
            return
        sql = "SELECT DISTINCT lower(hex(cid)) FROM log WHERE body IS NOT NULL"
        before = {cid for (cid,) in self.log(sql)}
        self.note_persons()
        self.server.restore()
        self._told_of = 0
        self.aged = list(self._aged_then)
        self._note_lost(before)
        for token in self.server.tokens.values():
            if token.revoked:  # as the journal beside the database will say
                self.server.write("edit", "device", token.device, {"revoked": True})
        self.faults["server restored"] += 1

    # --- who is who -----------------------------------------------------------------------------------------

    def decide(self, one: str, other: str, decision: str) -> str:
        """Head office says whether two customers are one person; `ok`, or why not."""
        return self.server.decided(identities.decide(self.server.service, one, other, decision, self._cid()))

    def unmerge(self, id: str) -> str:
        return self.server.decided(identities.unmerge(self.server.service, id, self._cid()))

    def scan(self) -> str:
        return f"{run(self.server.admission.scan())} customers"

    def _cid(self) -> str:
        return self.entropy(16).hex()

    def _note_lost(self, cids: set[str]) -> None:
        """Of these changes, which a file held that was copied over: those that no other file holds."""
        held = {cid for (cid,) in self.log("SELECT DISTINCT lower(hex(cid)) FROM log")}
        for tablet in self.tablets.values():
            held |= {cid for (cid,) in tablet.outbox("SELECT cid FROM change")}
        self.lost |= cids - held

    def seen(self, entity: str, id: str, path: str) -> dict[str, list[str]]:
        """What head office has seen of a field: all that stands in it."""
        found = self.log(f"SELECT document FROM {entity} WHERE id=?", id)
        cids = deeds.present(orjson.loads(found[0][0])).get(path) if found else None
        return {path: cids} if cids else {}

    def log(self, sql: str, *given: Any) -> list[tuple[Any, ...]]:
        """Look into the chain's database, as nobody else does."""
        return self.server.look(sql, given)

    def open_entries(self) -> list[Entry]:
        """The first of what is held or rejected, as it came."""

        async def read() -> list[Entry]:
            async with self.server.storage.unscoped_reader() as reader:
                return await reader.open_entries(OPEN_ENTRIES)

        return run(read())

    # --- rounds and the network -----------------------------------------------------------------------------

    def _begin(self, tablet: Tablet, fault: str | None, at: int) -> Coroutine[Any, Any, SyncReport]:
        tablet.fault, tablet.at, tablet.posts = fault, at, 0
        self.arm(tablet, fault)
        return tablet.shop.sync()

    def arm(self, tablet: Tablet, fault: str | None) -> None:
        """Let a round end in a crash, or meet a failing file system."""
        who, _, what = (fault or "").partition("_")
        if fault == "device_crash":
            tablet.fuse = self.random.randrange(24)
        elif what in SAID and who == "tablet":
            tablet.trouble.begin(what, self.random.randrange(60))
        elif what in SAID:
            self.server.trouble.begin(what, self.random.randrange(60))

    def disarm(self, tablet: Tablet) -> None:
        tablet.fault, tablet.fuse = None, None
        for who, trouble in (("tablet", tablet.trouble), ("server", self.server.trouble)):
            if trouble.met:
                self.faults[f"{who}'s disk failed"] += 1
            trouble.end()

    def _finish(self, tablet: Tablet, round_: Coroutine[Any, Any, SyncReport]) -> None:
        while not self._step(tablet, round_):
            pass

    def _step(self, tablet: Tablet, round_: Coroutine[Any, Any, SyncReport]) -> bool:
        """Go on with a round until its next message; whether it is over."""
        try:
            round_.send(None)
            return False
        except StopIteration as stop:
            self._report(tablet, stop.value)
        except LocalError as error:  # it was shut out and has wiped itself
            is_known = tablet.revoked or tablet.trouble.met
            self.check(is_known, "a tablet can't sync", tablet.index, error.code)
            self.sometimes["wiped, then asked"] += not tablet.trouble.met
        except TabletCrash:
            self.faults["crash in a round"] += 1
            self.say("    the tablet crashed")
            round_.close()
            tablet.restart()
        self.disarm(tablet)
        self.check_tablet(tablet)
        return True

    def _report(self, tablet: Tablet, report: SyncReport) -> None:
        some = self.sometimes
        for name in ("merged", "held", "rejected", "left", "renewals"):
            some[name] += getattr(report, name)
        some["several pages"] += report.pages > 2
        some["repaired"] += bool(report.repaired)
        tablet.is_damaged = tablet.is_damaged and not report.equal
        problem = report.problem
        if problem is not None:
            some[f"problem {problem.code}"] += 1
            self.check(problem.code != "replica_differs", "a replica differs from the server", tablet.index)
            is_known = problem.code != "internal" or self.server.trouble.met
            self.check(is_known, "the server failed", problem)
            if problem.code == "device_cloned":
                self.pair(tablet)
        self.say(
            f"    tablet {tablet.index}: pushed {report.pushed}, pulled {report.pulled}, "
            f"left {report.left}, {problem.code if problem else 'equal' if report.equal else 'not equal'}"
        )

    def _drive(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        while True:
            try:
                coroutine.send(None)
            except StopIteration:
                return

    def deliver(self, tablet: Tablet, path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
        """Carry a request to head office and its answer back, or not."""
        fault = tablet.fault if tablet.posts == tablet.at else None
        is_first = tablet.posts == 0
        tablet.posts += 1
        is_push = path.endswith("push")
        match fault:
            case "lost_request" | "cut":
                self.faults["request lost"] += 1
                if not is_first and not is_push:
                    self.faults["pull cut between pages"] += 1
                raise Offline("offline")
            case "delayed":
                if is_push:
                    self.late.append((path, body, token))
                    self.faults["request delayed"] += 1
                raise Offline("offline")
            case "server_crash_before_commit":
                self.server.fuse.before = self.random.randrange(12)
            case "server_crash_after_commit":
                self.server.fuse.after = self.random.randrange(2)
            case "doubled":
                self._serve(path, body, token)
                self.faults["request doubled"] += 1
        status, answer = self._serve(path, body, token)
        self.check_canaries(
            tablet.ever, answer, "a tablet is sent another branch's customer", tablet.index, path
        )
        if is_push:
            self.overheard = [*self.overheard[-20:], (path, body)]
        if is_push and self.random.random() < 0.1:
            self.late.append((path, body, token))
        if fault == "lost_answer":
            self.faults["answer lost"] += 1
            raise Offline("offline")
        return status, answer

    def download(
        self, tablet: Tablet, token: str, start: int, etag: str | None
    ) -> tuple[int, Mapping[str, str], bytes, bool]:
        """Carry a snapshot to a tablet, or a part: status, headers, body, whether the line was cut there."""
        server, rnd, some = self.server, self.random, self.sometimes
        fault = tablet.fault if tablet.posts == tablet.at else None
        tablet.posts += 1
        match fault:
            case "lost_request" | "delayed":
                raise Offline("offline")
            case "server_crash_before_commit":
                server.fuse.before = rnd.randrange(12)
        if start and rnd.random() < 0.3:
            shutil.rmtree(server.snapshots.folder, ignore_errors=True)  # another one is made
        try:
            status, headers, body = server.fetch(token, start, etag)
        except ServerCrash:
            self.faults["server crash"] += 1
            server.restart()
            raise Offline("offline") from None
        finally:
            server.fuse.before = None
        self.trace.update(f"{status} {headers.get('etag')}".encode())
        if status not in {200, 206}:
            return status, headers, body, False
        (packed,) = server.snapshots.folder.glob(f"*-{headers['etag'][1:17]}/replica.zst")
        with packed.open("rb") as file:
            plain = zstandard.ZstdDecompressor().stream_reader(file).read()
        law = "another branch's customer in a snapshot"
        self.check_canaries(tablet.ever, plain, law, tablet.index)
        some["snapshot went on"] += status == 206
        some["snapshot changed in between"] += bool(start and status == 200)
        if not self.is_calm and (fault in {"cut", "lost_answer"} or rnd.random() < 0.5):
            self.faults["snapshot cut"] += 1
            return status, headers, body[: rnd.randrange(len(body) + 1)], True
        some["snapshot taken"] += 1
        return status, headers, body, False

    def _serve(self, path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
        server = self.server
        try:
            status, answer = server.serve(path, body, token)
        except ServerCrash:
            self.faults["server crash"] += 1
            self.say("    the server crashed")
            server.restart()
            raise Offline("offline") from None
        finally:
            server.fuse.before = server.fuse.after = None
            self.epochs.add(server.storage.chain.epoch)
        self.trace.update(body)
        self.trace.update(answer)
        self.sometimes["cursor expired"] += status == 410
        return status, answer

    # --- what must hold at every step ----------------------------------------------------------------------

    def check_tablet(self, tablet: Tablet) -> None:
        """No part of a group, no fact without its customer, no row of another branch."""
        if tablet.is_damaged:
            return
        tags: dict[str, set[str]] = {}
        ids: set[str] = set()
        facts: list[dict[str, Any]] = []
        for entity, raw in tablet.rows(
            "SELECT entity, document FROM row WHERE entity IN ('customer', 'interaction', 'link') "
            "AND level='internal'"
        ):
            document = orjson.loads(raw)
            if entity != "customer":
                facts.append(document)
                continue
            ids.add(document["id"])
            for path in document:
                if path.startswith("tags/g-"):
                    tags.setdefault(path[5:], set()).add(document["id"])
        for fact in facts:
            named = [m["customer"] for m in fact.get("party") or [] if m.get("customer")]
            named += [fact[end] for end in ("from_customer", "to_customer") if end in fact]
            is_held = not named or not ids.isdisjoint(named)
            self.check(is_held, "a fact without its customer", tablet.index, fact)
        for tag, tagged in tags.items():
            members = ids.intersection(self.groups[tag])
            self.check(members <= tagged, "part of a group", tablet.index, tag, members - tagged)

    # --- the end --------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """No more faults, no more writes: every tablet must come to rest within ten virtual minutes."""
        self.say("faults stop")
        self.random.seed(self.ms)
        self.is_calm = True
        begun = self.ms
        for tablet in self.tablets.values():
            if tablet.registry is not REGISTRY:
                self.do_upgrade(tablet)
            if not tablet.shop._said.get("token"):
                self.pair(tablet)
                self.sometimes["wiped, then paired again"] += 1
        waiting = [tablet for tablet in self.tablets.values() if not tablet.revoked]
        for _ in range(LIVENESS_ROUNDS):
            for tablet in self.tablets.values():
                self.do_sync(tablet)
            waiting = [tablet for tablet in waiting if not self.is_at_rest(tablet)]
            if not waiting:
                waiting = [t for t in self.tablets.values() if not t.revoked and not self.is_at_rest(t)]
                if not waiting:
                    break
            self.ms += 30_000
        said = [(tablet.index, run(tablet.shop.status())) for tablet in waiting]
        self.check(not waiting, "a tablet never comes to rest", said)
        self.check(self.ms - begun < LIVENESS_MS_MAX, "it took too long")

    def is_at_rest(self, tablet: Tablet) -> bool:
        """Nothing is pending, and its rows, counted anew, are byte for byte what the server's scopes hold."""
        if run(tablet.shop.status()).pending:
            return False
        held = run(tablet.shop.verify())

        async def there() -> dict[str, Any]:
            scopes = self.server.author(self.token_of(tablet)).scopes
            assert scopes is not None
            async with self.server.storage.reader(scopes) as reader:
                found = await reader.digests(scopes)
            return {scope: digest for scope, digest in found.items() if digest.rows}

        return held == run(there())

    def close(self) -> None:
        for tablet in self.tablets.values():
            tablet.close()
        self.server.stop()
