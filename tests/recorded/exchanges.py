"""The exchanges that docs/PROTOCOL.md speaks of: made by the real server on a fixed clock and fixed chance.

    python tests/recorded/exchanges.py           write tests/recorded/exchanges/*.json and docs/PROTOCOL.md
    python tests/recorded/exchanges.py --check   write nothing; exit with 1 when anything is out of date

Each file is one story: what head office does, and every request with its answer, in order. What a server
draws (tokens, ids) follows from the name of the story and the step, so a step stays as it is when another one
changes; cursors are numbered. In docs/PROTOCOL.md the block behind `<!-- recorded: story.step part -->` is
written from here.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from regulars_server import devices, erasure
from tests.support.chain import NOON_MS, AppTransport, Chain, open_chain
from tests.support.stranger import Problem, Stranger, spelled

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).parent / "exchanges"
DOC = ROOT / "docs" / "PROTOCOL.md"
LINE = 110

HQ, NANJING, ORCHARD = (f"01a20000-0000-7000-8000-00000000000{i}" for i in (1, 2, 3))
LIN, MEI, VISIT, NOBODY = (f"01a20038-0100-7000-8000-0000000000{i}" for i in (10, 20, 30, 40))


class Story:
    """One story under way: its steps as they are written down."""

    def __init__(self, name: str, about: str) -> None:
        self.name, self.about = name, about
        self.steps: list[dict[str, Any]] = []
        self.chain: Chain
        self._random = random.Random(name)
        self._cursors: dict[str, str] = {}
        """Each cursor that was given out, and the name under which it is written down."""

    def entropy(self, count: int) -> bytes:
        return self._random.randbytes(count)

    def begin(self) -> None:
        """Let time and chance of the next step be its own."""
        at = len(self.steps) + 1
        self._random = random.Random(f"{self.name} {at}")
        if hasattr(self, "chain"):
            self.chain.clock.ms = NOON_MS + at * 60_000

    async def office(self, does: str, work: Awaitable[Any]) -> Any:
        self.begin()
        self.steps.append({"office": does})
        return await work

    async def device(self, name: str, unit: str = NANJING, sensitive: bool = False) -> Stranger:
        """A device, paired; its name stands beside its requests."""
        transport = AppTransport(self.chain.app, self.chain.service)
        client = transport._client

        async def post(path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
            self.begin()
            headers = {"authorization": f"Bearer {token}"} if token else {}
            answer = await client.post(path, content=body, headers=headers)
            assert spelled(json.loads(answer.content)) == answer.content
            said, answered = self._named(json.loads(body)), self._named(answer.json())
            step = {"device": name, "request": f"POST {path}", **headers, "body": said}
            self.steps.append({**step, "status": answer.status_code, "answer": answered})
            self.chain.clock.ms = NOON_MS + len(self.steps) * 60_000 + 30_000
            self._random = random.Random(f"{self.name} {len(self.steps)} {name}")
            return answer.status_code, answer.content

        made = Stranger(post, lambda: self.chain.clock.ms, self.entropy)
        access = self.chain.service.access
        code = await self.office(f"invites {name}", access.new_pairing_code(unit, name, sensitive))
        await made.pair(code, name)
        return made

    def _named(self, said: dict[str, Any]) -> dict[str, Any]:
        """With the cursor by its name: a cursor is opaque, and what is in it is the server's own affair."""
        if said.get("head", self) is not self:  # a page gives one out
            self._cursors.setdefault(said["cursor"], f"cursor {len(self._cursors) + 1}")
        cursor = said.get("cursor")
        return {**said, "cursor": self._cursors.get(cursor, cursor)} if cursor else said

    async def get(self, path: str) -> None:
        self.begin()
        answer = await AppTransport(self.chain.app, self.chain.service)._client.get(path)
        self.steps.append({"request": f"GET {path}", "status": answer.status_code, "answer": answer.json()})

    def written(self) -> bytes:
        lines = [f'{{"about":{json.dumps(self.about)},"steps":[']
        for i, step in enumerate(self.steps):
            parts = [f"{json.dumps(key)}:{spelled(value).decode()}" for key, value in step.items()]
            lines.append(" {" + ",\n  ".join(parts) + "}" + ("," if i + 1 < len(self.steps) else ""))
        return "\n".join([*lines, "]}"]).encode() + b"\n"


async def write_units(chain: Chain, story: Story) -> None:
    units: dict[str, dict[str, object]] = {
        HQ: {"name": "hq", "kind": "company", "country": "CN", "time_zone": "Asia/Shanghai"},
        NANJING: {"name": "Nanjing Road", "kind": "branch", "parent": HQ},
        ORCHARD: {"name": "Orchard", "kind": "branch", "parent": HQ, "country": "SG"},
    }
    for id, fields in units.items():
        story._random = random.Random(id)
        story.chain.clock.ms = NOON_MS
        await chain.write("create", "unit", id, fields)


async def refused(asked: Awaitable[Any], code: str | None) -> None:
    """Wait for this very refusal, None for none."""
    try:
        await asked
    except Problem as problem:
        if problem.code != code:
            raise
    else:
        assert code is None, code


# --- the stories ---------------------------------------------------------------------------------------


async def first_day(story: Story) -> None:
    """A tablet asks what is served, is paired, reads all there is page by page, writes, and proves it."""
    await story.get("/sync/v1")
    one = await story.device("one", sensitive=True)
    one.rows_max = 3
    await one.pull()
    one.rows_max = 1_000
    card = {"name": "林芳", "phones/138 0013 8000": "138 0013 8000", "income_band": "high", "tags/vip": True}
    one.write(
        ("create", "customer", LIN, card),
        (
            "create",
            "interaction",
            VISIT,
            {"kind": "visit", "at": "2026-11-22T08:00:00.000Z", "party": [{"customer": LIN}]},
        ),
    )
    await one.sync()
    one.write(("edit", "customer", LIN, {"tags/vip": False, "notes": "likes oak"}))
    await one.sync()


async def beside(story: Story) -> None:
    """Two tablets write one field, neither having seen the other; one that has seen both ends it."""
    one, two = await story.device("one"), await story.device("two")
    one.write(("create", "customer", LIN, {"name": "林芳"}))
    await one.sync()
    await two.sync()
    one.write(("edit", "customer", LIN, {"notes": "from one"}))
    two.write(("edit", "customer", LIN, {"notes": "from two"}))
    await one.sync()
    await two.sync()
    two.write(("edit", "customer", LIN, {"notes": "from both"}))
    await two.sync()


async def held(story: Story) -> None:
    """A transaction waits for a customer who is not there; its culprit is dropped, and the rest goes on."""
    one = await story.device("one")
    one.write(("create", "customer", LIN, {"name": "林芳"}))
    fact = {"kind": "visit", "at": "2026-11-22T08:00:00.000Z", "party": [{"customer": NOBODY}]}
    cids = one.write(
        ("edit", "customer", LIN, {"notes": "came with a friend"}),
        ("create", "interaction", VISIT, fact),
    )
    one.write(("edit", "customer", LIN, {"gender": "unheard of"}))
    await one.sync()
    one.write(("edit", "interaction", VISIT, {}), replaces=cids[1])
    await one.sync()


async def numbers(story: Story) -> None:
    """A push that is sent again, one whose numbers begin too late, and one whose numbers are taken."""
    one = await story.device("one")
    one.write(("create", "customer", LIN, {"name": "林芳"}))
    _, contact = await one.pull()
    image = one.copied()
    await one.push(contact)
    await one.push(contact)
    (life,) = one.kept["incarnations"]
    one.write(("edit", "customer", LIN, {"notes": "second"}))
    one.write(("edit", "customer", LIN, {"notes": "third"}))
    for first in (2, 1):  # the third before the second
        said = {"incarnation": life["id"], "n": first + 1, "schema": 2}
        one.fix(life["changes"][first], story.chain.clock.ms)
        changes = [life["changes"][first]["body"]]
        await refused(one.ask("push", {**said, "changes": changes}), "number_gap" if first == 2 else None)
    image.write(("create", "customer", MEI, {"name": "Mei"}))
    image.kept["incarnations"][0]["changes"].pop(0)  # restored from an image that knew of no change yet
    await image.push(contact)


async def departures(story: Story) -> None:
    """A customer moves to another branch, and another one is erased: both leave, and how each is said."""
    one = await story.device("one")
    one.write(("create", "customer", LIN, {"name": "林芳"}))
    one.write(("create", "customer", MEI, {"name": "Mei"}))
    await one.sync()
    one.write(("edit", "customer", LIN, {"home_unit": ORCHARD}))
    await one.sync()
    one.write(("edit", "customer", MEI, {"notes": "written before the news came"}))
    erased = erasure.erase(story.chain.service, MEI, "asked for it")
    await story.office(f"erases the customer {MEI}", erased)
    await one.sync()


async def shut_out(story: Story) -> None:
    """A device is revoked: what it still has is held, then it deletes all and says so."""
    one = await story.device("one")
    await one.sync()
    one.write(("create", "customer", LIN, {"name": "林芳"}))
    await story.office("revokes one", devices.revoke(story.chain.service, one.kept["device"]))
    await refused(one.sync(), "device_revoked")


async def refusals(story: Story) -> None:
    """What is refused whole: a wrong code, a forged cursor, an empty push, no token; and another token."""
    one = await story.device("one")
    guess = {"code": "AAAA-AAAA", "name": "guess", "schema": 2}
    await refused(one.ask("pair", guess), "pairing_code_invalid")
    await refused(one.ask("pull", {"schema": 2, "cursor": "Zm9yZ2Vk"}), "cursor_invalid")
    nothing = {"incarnation": "0123456789abcdef", "n": 1, "schema": 2, "changes": []}
    await refused(one.ask("push", nothing), "body_invalid")
    await refused(one.ask("wiped", {}), "not_allowed")
    await one.ask("rotate", {})
    one.kept["token"] = None
    await refused(one.ask("pull", {"schema": 2}), "token_missing")


STORIES: dict[str, Callable[[Story], Awaitable[None]]] = {
    told.__name__.replace("_", "-"): told
    for told in (first_day, beside, held, numbers, departures, shut_out, refusals)
}


async def tell(name: str) -> Story:
    """Play a story against a new chain."""
    told = STORIES[name]
    story = Story(name, " ".join((told.__doc__ or "").split()))
    with tempfile.TemporaryDirectory() as scratch:
        async with open_chain(Path(scratch), entropy=story.entropy) as story.chain:
            await write_units(story.chain, story)
            story.begin()
            await told(story)
    return story


# --- the document --------------------------------------------------------------------------------------

BLOCK = re.compile(r"<!-- recorded: ([a-z-]+)\.(\d+) (body|answer) -->\n```json\n.*?```", re.DOTALL)


def shaped(value: Any, indent: int = 0) -> str:
    """JSON for people: on one line where it fits, else a member a line."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent <= LINE or not isinstance(value, dict | list) or not value:
        return flat
    pad = " " * (indent + 1)
    if isinstance(value, dict):
        items = [f"{json.dumps(k)}: {shaped(v, indent + len(k) + 5)}" for k, v in value.items()]
        return "{" + f",\n{pad}".join(items) + "}"
    return "[" + f",\n{pad}".join(shaped(item, indent + 1) for item in value) + "]"


def filled(doc: str, stories: dict[str, Story]) -> str:
    """The document with every marked block as it was recorded."""

    def block(found: re.Match[str]) -> str:
        name, step, part = found.groups()
        recorded = shaped(stories[name].steps[int(step) - 1][part])
        return f"<!-- recorded: {name}.{step} {part} -->\n```json\n{recorded}\n```"

    return BLOCK.sub(block, doc)


async def outputs() -> dict[Path, bytes]:
    """Every file that is written from here, as it should be."""
    stories = {name: await tell(name) for name in STORIES}
    files = {FOLDER / f"{name}.json": story.written() for name, story in stories.items()}
    return {**files, DOC: filled(DOC.read_text(), stories).encode()}


def main(check: bool) -> int:
    wanted = asyncio.run(outputs())
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_bytes() != text]
    for path in stale:
        print(("out of date: " if check else "wrote ") + str(path.relative_to(ROOT)))
        if not check:
            path.write_bytes(wanted[path])
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
