"""Break the promises of sync, storage and rules one at a time, and see whether the tests notice.

python tests/mutants.py                  every mutant, on two processes
python tests/mutants.py --only trail     those whose name holds this
python tests/mutants.py --check          only see that every mutant still finds its place

A mutant replaces one text in one file of a copy of the tree. It is killed when a test of `TESTS`, which
together run in under a minute, fails, or does not end within `SECONDS_MAX`. A text that is not found exactly
once is an error, so that this list never rots.
"""
# ruff: noqa: E501 (a mutant stands on the lines that it takes)

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).parent.parent
ROOMS = ("schema", "sync", "server", "client_sdk")
PROCESSES = 2
SECONDS_MAX = 600
"""For one mutant, on a machine that does other things too."""

TESTS = (
    "tests/unit/test_merge_laws.py",
    "tests/unit/test_reconcile.py",
    "tests/unit/test_placement.py",
    "tests/unit/test_sightings.py",
    "tests/unit/test_clusters.py",
    "tests/unit/test_identity.py",
    "tests/unit/test_round.py",
    "tests/unit/test_clock.py",
    "tests/unit/test_cursor.py",
    "tests/unit/test_digest.py",
    "tests/unit/test_document.py",
    "tests/unit/test_log.py",
    "tests/unit/test_trail.py",
    "tests/unit/test_looping.py",
    "tests/unit/test_facts.py",
    "tests/unit/test_known.py",
    "tests/unit/test_metrics.py",
    "tests/unit/test_evaluate.py",
    "tests/unit/test_verifying.py",
    "tests/unit/test_stood.py",
    "tests/unit/test_what_may_be_told.py",
    "tests/contract/test_sqlite_storage.py",
    "tests/integration/test_two_tablets.py",
    "tests/integration/test_outbox.py",
    "tests/integration/test_devices.py",
    "tests/integration/test_recovery.py",
    "tests/integration/test_restored_tablet.py",
    "tests/integration/test_replica.py",
    "tests/integration/test_erasure.py",
    "tests/integration/test_scopes.py",
    "tests/integration/test_winners.py",
    "tests/integration/test_power_loss.py::test_nothing_acknowledged_is_lost_in_the_shortest_session",
)
"""The fast ones, those first that tell most of `sync/`; of storage the others tell more."""

EVALUATE = "schema/regulars_schema/rules/evaluate.py"
FACTS = "schema/regulars_schema/rules/facts.py"
METRICS = "schema/regulars_schema/rules/metrics.py"
CHANGES = "sync/regulars_sync/changes.py"
CLOCK = "sync/regulars_sync/clock.py"
CURSOR = "sync/regulars_sync/cursor.py"
DIGEST = "sync/regulars_sync/digest.py"
DOCUMENT = "sync/regulars_sync/document.py"
KNOWN = "sync/regulars_sync/known.py"
LOG = "sync/regulars_sync/log.py"
MERGE = "sync/regulars_sync/merge.py"
PLACEMENT = "sync/regulars_sync/placement.py"
RECONCILE = "sync/regulars_sync/reconcile.py"
ROUND = "sync/regulars_sync/round.py"
SCOPE = "sync/regulars_sync/scope.py"
TRAIL = "sync/regulars_sync/trail.py"
VERIFYING = "sync/regulars_sync/verifying.py"
CHECKING = "server/regulars_server/knowledge/checking.py"
TELLING = "server/regulars_server/knowledge/telling.py"
COMMIT = "server/regulars_server/storage/sql/commit.py"
READER = "server/regulars_server/storage/sql/reader.py"
SNAPSHOT = "server/regulars_server/storage/sql/snapshot.py"
STORAGE = "server/regulars_server/storage/sqlite/storage.py"
VERIFY = "server/regulars_server/storage/verify.py"


@dataclass(frozen=True)
class Mutant:
    name: str
    """What it breaks."""
    file: str
    old: str
    new: str


MUTANTS = (
    # --- values side by side
    Mutant("last writer decided pairwise", MERGE,
           "            register.values[change.cid] = candidate\n",
           "            register.values = {max([*register.values.values(), candidate], key=_order).cid: candidate}\n"),
    Mutant("a change removes what it has not seen", MERGE,
           "        for cid in change.seen.get(path, ()):\n",
           "        for cid in list(register.values):\n"),
    Mutant("seen cids that come later are forgotten", MERGE,
           "                register.kept.add(cid)\n", "                pass\n"),
    Mutant("a seen change comes back when it arrives late", MERGE,
           "            register.kept.discard(change.cid)\n",
           "            register.values[change.cid] = candidate\n"),
    Mutant("verified loses to newer", MERGE,
           'key=lambda c: (c.verified == "verified", *_order(c))', "key=_order"),
    Mutant("a set element is removed by any removal", MERGE,
           "        case Rule.SET_ADD | Rule.ANY_TRUE:\n            return max(values, key=lambda c: (bool(c.value), *_order(c)))",
           "        case Rule.SET_ADD | Rule.ANY_TRUE:\n            return max(values, key=lambda c: (not c.value, *_order(c)))"),
    Mutant("equal stamps are decided by nothing", MERGE,
           "    return candidate.stamp, candidate.cid\n", '    return candidate.stamp, ""\n'),
    Mutant("kept seen cids are not stored", DOCUMENT,
           "        if register.kept:\n            kept[path] = sorted(register.kept)\n", ""),
    Mutant("values beside are not read back", DOCUMENT,
           "            for i, other in beside:\n", "            for i, other in ():\n"),
    # --- groups
    Mutant("a group is split: its good members apply", RECONCILE,
           "    if culprit is None:\n        world.rows.update(draft)\n        return rulings\n",
           "    world.rows.update(draft)\n    if culprit is None:\n        return rulings\n"),
    Mutant("a group's culprit loses its own code", RECONCILE,
           'Ruling(r.change, "held", "group_held", waits=culprit.waits) if r is not culprit else culprit\n',
           'Ruling(r.change, "held", "group_held", waits=culprit.waits)\n'),
    Mutant("a group that never came whole applies", RECONCILE,
           "    if len(cids) != len(group) or any(change.size != size for change in group):\n",
           "    if len(cids) != len(group):\n"),
    Mutant("what a failed group accepted stays known as accepted", RECONCILE,
           "    for change in group:\n        world.entries.pop(change.cid, None)\n", ""),
    # --- verdicts
    Mutant("a revoked device writes on", RECONCILE, "    if author.revoked:\n", "    if False:\n"),
    Mutant("an edit of an unknown row is rejected for good", RECONCILE,
           "        elif change.op == \"edit\":\n            raise _Held(\"row_unknown\", waits_for_row(key))\n",
           "        elif change.op == \"edit\":\n            raise Unfit(\"row_unknown\")\n"),
    Mutant("a fact under a known id replaces it", RECONCILE,
           "        if same != held:\n", "        if False:\n"),
    Mutant("what concerns an erased person is taken", RECONCILE,
           "    gone = {change.cid for change in group if is_erased(world, change)}\n", "    gone: set[str] = set()\n"),
    Mutant("a merge is said to be applied", RECONCILE,
           '"applied" if alone else "merged"', '"applied" if alone else "applied"'),
    # --- stamps
    Mutant("a stamp is not above what was seen", CLOCK,
           "return max(wall_ms * STAMPS_PER_MS, known + 1, last + 1)", "return max(wall_ms * STAMPS_PER_MS, last + 1)"),
    Mutant("stamps run back on one tablet", CLOCK,
           "return max(wall_ms * STAMPS_PER_MS, known + 1, last + 1)", "return max(wall_ms * STAMPS_PER_MS, known + 1)"),
    Mutant("a clock ahead wins", CLOCK,
           "    wall_ms = min(stated_ms + offset_ms, server_now_ms)\n", "    wall_ms = stated_ms\n"),
    Mutant("an impossible stamp is taken", CLOCK,
           "    return stamp < 0 or stamp > max(", "    return stamp < 0 or stamp > 2**70 + max("),
    Mutant("an impossible stamp poisons the highest", RECONCILE,
           "        stamp = next_stamp(world.now_ms, world.stamp_max)\n    world.stamp_max",
           "        stamp = next_stamp(world.now_ms, max(world.stamp_max, stamp or 0))\n    world.stamp_max"),
    # --- trails, cursors, digests, log
    Mutant("a trail does not depend on what came before", TRAIL,
           "        reached = blake2b(reached + bytes.fromhex(cid), digest_size=TRAIL_BYTES).digest()\n",
           "        reached = blake2b(bytes.fromhex(cid), digest_size=TRAIL_BYTES).digest()\n"),
    Mutant("all incarnations begin with one trail", TRAIL,
           "    return blake2b(incarnation.encode(), digest_size=TRAIL_BYTES).hexdigest()",
           "    return blake2b(b'', digest_size=TRAIL_BYTES).hexdigest()"),
    Mutant("a cursor's signature is not looked at", CURSOR,
           "        if not (same and hmac.compare_digest(raw[:16], _sign(secret, raw[16:]))):\n", "        if not same:\n"),
    Mutant("a digest does not tell entities apart", DIGEST,
           "    return blake2b(document, digest_size=HASH_BYTES, person=entity.encode()[:16]).digest()",
           "    return blake2b(document, digest_size=HASH_BYTES).digest()"),
    Mutant("a digest counts no rows", DIGEST, "        rows += sign\n", "        rows += 0\n"),
    Mutant("the log's chain does not cover what came before", LOG, "blake2b(before + entry.digest", "blake2b(entry.digest"),
    Mutant("the log is not checked", VERIFY,
           "entry.hash == entry_hash(before, entry) and entry.is_sealed()", "True"),
    # --- scopes
    Mutant("the scope of a reader is not asked", SNAPSHOT,
           'f" AND f.scope IN ({self._ids_at[level] or \'NULL\'}) AND f.gone=0)"', 'f" AND f.gone=0)"'),
    Mutant("a reader goes on seeing what left", SNAPSHOT,
           'f" AND f.scope IN ({self._ids_at[level] or \'NULL\'}) AND f.gone=0)"',
           'f" AND f.scope IN ({self._ids_at[level] or \'NULL\'}))"'),
    Mutant("anybody pulls any scope", SNAPSHOT,
           "        if self.scopes is not None and not after.keys() <= self.scopes:\n"
           '            raise LookupError(f"not this reader\'s: {sorted(after.keys() - self.scopes)}")\n'
           "        ids = self.scope_ids\n",
           "        ids = self.scope_ids\n"),
    Mutant("sensitive documents travel with the others", SCOPE,
           '    return scope if level is Level.INTERNAL else f"{scope}/{level}"\n', "    return scope\n"),
    Mutant("a row that leaves is not told", PLACEMENT,
           "            if not left and scope not in wanted:\n", "            if False:\n"),
    Mutant("a row that enters is not told", PLACEMENT,
           "            if level in changed or row.places.get(scope, True):\n", "            if level in changed:\n"),
    Mutant("dependents stay behind when a customer moves", PLACEMENT,
           "    for row in (*others, *dependents):\n", "    for row in others:\n"),
    Mutant("a fact that does not count stays where nobody knows that", PLACEMENT,
           "        return bases.intersection(*map(self._own, family))\n", "        return bases\n"),
    Mutant("a stranger corrects a fact", RECONCILE, "        _require_former(world, author, change, draft)\n", ""),
    Mutant("what became ready is not tried", PLACEMENT,
           "            writes.ready.add(waits_for_row((row.entity.name, row.id)))\n", "            pass\n"),
    # --- the round
    Mutant("a tablet does not pull again after a push", ROUND, "            if pushed:\n", "            if False:\n"),
    Mutant("a refused pull ends the round before the push", ROUND,
           "            return answer.contact or contact\n", "            return None\n"),
    Mutant("no room for a page ends the round before the push", ROUND,
           "            report.problem = unkept\n            return contact\n",
           "            report.problem = unkept\n            return None\n"),
    Mutant("a changed epoch is not answered by a reset", ROUND,
           "                asking = Pull()\n                yield Reset()\n", "                asking = Pull()\n"),
    Mutant("a revoked tablet wipes itself before it pushed", ROUND,
           'yield Wipe(contact.acks if code == "device_revoked" and contact else None)', "yield Wipe(None)"),
    Mutant("being offline ends in an exception", ROUND, "    except Offline as offline:\n        report.equal = False\n",
           "    except Offline as offline:\n        raise\n"),
    # --- storage
    Mutant("the acknowledgement comes before the commit", COMMIT, '        execute("COMMIT")\n', "        pass\n"),
    Mutant("the highest stamp is not kept", COMMIT,
           "        if batch.stamp_max > head.stamp_max:\n", "        if False:\n"),
    Mutant("a device's number is not moved on", COMMIT,
           '" ON CONFLICT(id) DO UPDATE SET n=excluded.n, trail=excluded.trail"', '" ON CONFLICT(id) DO NOTHING"'),
    Mutant("a clone is not found", COMMIT, '                "UPDATE incarnation SET cloned=1"\n',
           '                "UPDATE incarnation SET cloned=0"\n'),
    Mutant("a tombstone is forgotten", COMMIT,
           "seq, 1 if left else 0)", "seq, 0)"),
    Mutant("two feed entries share a number", COMMIT,
           "for seq, (scope, entity, id, left) in enumerate(places, first)",
           "for seq, (scope, entity, id, left) in enumerate(places, first - 1)"),
    Mutant("a scope's digest is not updated", COMMIT,
           '        many("UPDATE scope SET count=?, hash=? WHERE id=?", updates)\n', ""),
    Mutant("a row that moved stays in its old digest", COMMIT,
           "                    rows[scope] -= 1\n", "                    pass\n"),
    Mutant("log entries are not chained", COMMIT,
           "            entry.hash = hash = entry_hash(hash, entry)\n",
           "            entry.hash = entry_hash(hash, entry)\n"),
    Mutant("an accepted group goes on waiting", COMMIT,
           '        many("DELETE FROM queue WHERE grp=?", [(group,) for group, key in groups if key is None])\n', ""),
    Mutant("erased sensitive documents stay", COMMIT,
           """self.connection.execute(f'DELETE FROM "{name}_sensitive" WHERE row=?', (found.row,))""", "pass"),
    Mutant("erased bodies stay in the log", COMMIT, "UPDATE log SET body=NULL, key=NULL", "UPDATE log SET key=NULL"),
    Mutant("acks of another device are told", SNAPSHOT,
           'FROM incarnation WHERE device=? AND id IN (SELECT value FROM json_each(?))"\n        found',
           'FROM incarnation WHERE device IS DISTINCT FROM ? AND id IN (SELECT value FROM json_each(?))"\n        found'),
    Mutant("any mark is known", SNAPSHOT,
           'return bool(self.rows("SELECT 1 FROM commit_mark WHERE seq=? AND mark=?", seq, mark))',
           "return True"),
    Mutant("a page says that it reached the head when it did not", SNAPSHOT,
           "            if more:\n                reached[scope] = last\n                return FeedPage(page, reached, True)\n",
           "            if more:\n                reached[scope] = last\n                return FeedPage(page, reached, False)\n"),
    Mutant("a page's cursor runs ahead of its rows", SNAPSHOT,
           "            if more:\n                reached[scope] = last\n",
           "            if more:\n                reached[scope] = last + 1\n"),
    Mutant("departures are not in a page", SNAPSHOT,
           "gone = self._left(number, e, start, last) if (e, 1) in kinds else []", "gone = []"),
    Mutant("a transaction is left open", STORAGE,
           "                yield SqlWriter(self._runner(driver), transaction, self._mark)\n"
           "            finally:\n                driver.post(roll_back)\n",
           "                yield SqlWriter(self._runner(driver), transaction, self._mark)\n"
           "            finally:\n                pass\n"),
    Mutant("a cancelled commit is left half way", READER,
           "            cancelled = True  #", "            cancelled = False  #"),
    # --- what is known of customers
    Mutant("a voided fact counts", FACTS, " and not any(fact.void for fact in newer.values())", ""),
    Mutant("of two corrections the earlier one counts", FACTS,
           "            id = max(newer.values(), key=_turn).id\n",
           "            id = min(newer.values(), key=_turn).id\n"),
    Mutant("a purchase counts for whoever came along", FACTS,
           'if values["kind"] in BUYING and len(party) > 1 and buyer(party) != customer:', "if False:"),
    Mutant("a fact is of the day that it was in Greenwich", FACTS,
           'in_zone(values["at"], zone).toordinal()', 'in_zone(values["at"], __import__("datetime").UTC).toordinal()'),
    Mutant("what a reader may not see is answered", EVALUATE,
           "                if name in known.hidden:\n", "                if False:\n"),
    Mutant("a pin beats the rule for ever", EVALUATE,
           "(a.check_by is None or known.today < a.check_by)", "True"),
    Mutant("an answer stands until the last of its parts turns", EVALUATE,
           "    until = min((part.until for part in parts), default=FOREVER)\n",
           "    until = max((part.until for part in parts), default=FOREVER)\n"),
    Mutant("an exclusion is undone by a rule", EVALUATE, "        if segment in known.excluded:\n", "        if False:\n"),
    Mutant("sums that a window cuts are counted whole", METRICS,
           "        if sums.first < first or sums.last > last:\n            raise Unheld\n", ""),
    Mutant("of two words at once the grant counts", KNOWN, "latest[about] = max(", "latest[about] = min("),
    Mutant("what a customer fills in takes the place of what was verified", VERIFYING,
           '    return not is_weaker or standing.verified != "verified"\n', "    return True\n"),
    Mutant("a merged person is kept twice", CHECKING,
           "                if id != survivor or value not in now\n", "                if value not in now\n"),
    Mutant("what is kept is told to who may not see what it rests on", TELLING,
           "return self.eyes.sensitive or not any(self._is_sensitive(name) for name in _fields(test))", "return True"),
    Mutant("a power loss takes the last commits", STORAGE, '"synchronous=FULL"', '"synchronous=OFF"'),
)  # fmt: skip


def problems() -> list[str]:
    """Mutants that no longer find their place."""
    found = []
    for mutant in MUTANTS:
        times = (ROOT / mutant.file).read_text().count(mutant.old)
        if times != 1:
            found.append(f"{mutant.name}: its text stands {times} times in {mutant.file}")
    names = [mutant.name for mutant in MUTANTS]
    return found + [f"{name}: twice" for name in {n for n in names if names.count(n) > 1}]


@contextmanager
def copies(count: int) -> Iterator[SimpleQueue[Path]]:
    """So many copies of the tree, for whoever takes one."""
    free: SimpleQueue[Path] = SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="regulars-mutants-") as place:
        for number in range(count):
            to = Path(place) / str(number)
            left_out = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", "build", "dist")
            shutil.copytree(ROOT, to, ignore=left_out)
            free.put(to)
        yield free


def run(tree: Path, file: str = "") -> tuple[str | None, float]:
    """Which test fails in this tree, in which a file was touched, None when all pass; in how many seconds."""
    tests = sorted(TESTS, key=lambda test: test.startswith("tests/unit") is not file.startswith("sync"))
    tests.sort(key=lambda test: Path(file).stem not in test)
    paths = [str(tree), *(str(tree / room) for room in ROOMS)]
    given = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    begun = time.monotonic()
    try:
        done = subprocess.run(
            command, cwd=tree, env=given, capture_output=True, timeout=SECONDS_MAX, text=True
        )
    except subprocess.TimeoutExpired:
        return "no end", SECONDS_MAX
    failed = re.search(r"^(?:FAILED|ERROR) \S+?(test_\w+(?:\.py::\S+)?)", done.stdout, re.MULTILINE)
    name = None if done.returncode == 0 else failed[1] if failed else "no start"
    return name, time.monotonic() - begun


def outlives(mutant: Mutant, free: SimpleQueue[Path]) -> bool:
    """Whether the tests pass in spite of it."""
    tree = free.get()
    file = tree / mutant.file
    sound = file.read_text()
    try:
        file.write_text(sound.replace(mutant.old, mutant.new))
        failed, seconds = run(tree, mutant.file)
    finally:
        file.write_text(sound)
        free.put(tree)
    print(f"{seconds:5.1f} s | {mutant.name} | {failed or 'SURVIVED'}", flush=True)
    return failed is None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default="", help="mutants whose name holds this")
    parser.add_argument("--from", type=int, default=0, dest="start", help="leave out so many of the first")
    parser.add_argument("--check", action="store_true", help="only see that each finds its place")
    given = parser.parse_args()
    if found := problems():
        print("\n".join(found))
        return 1
    if given.check:
        return 0
    chosen = [mutant for mutant in MUTANTS[given.start :] if given.only in mutant.name]
    with copies(PROCESSES) as free:
        tree = free.get()
        failed, seconds = run(tree)
        free.put(tree)
        if failed:
            print(f"without any mutant there fails {failed}")
            return 1
        print(f"without a mutant the tests take {seconds:.1f} s", flush=True)
        with ThreadPoolExecutor(PROCESSES) as pool:
            survived = sum(pool.map(lambda mutant: outlives(mutant, free), chosen))
    print(f"{len(chosen) - survived} of {len(chosen)} mutants killed")
    return 0 if survived <= len(chosen) // 10 else 1


if __name__ == "__main__":
    sys.exit(main())
