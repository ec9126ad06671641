"""A page of docs walked through: its blocks run in their order, on the days that its headings say.

A `python` block is what somebody types at a tablet; what it prints stands in the `text` block behind it. A
`graphql` block is what head office asks, `$lin` being what the page called so; the `json` block behind it is
the data of the answer, and later blocks call it `answer`. Tablets have a network only in blocks that sync or
look up. `until(day)` lets days pass within a block.
"""

from __future__ import annotations

import ast
import io
import json
import re
from collections.abc import AsyncIterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import date, datetime
from inspect import isawaitable
from types import CodeType
from typing import Any, cast
from zoneinfo import ZoneInfo

from regulars_server.knowledge.cuts import Cutting
from tests.support.chain import Chain
from tests.support.graph import Graph

PIECE = re.compile(
    r"^## [^\n]*, (?P<day>\d{1,2} \w+ \d{4})$"
    r"|^```(?P<kind>python|graphql)\n(?P<said>.*?)^```$(?:\n*^```(?:text|json)\n(?P<shown>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
CALLED = re.compile(r"\$(\w+): ")
ZONE = ZoneInfo("Asia/Shanghai")
OPENS_AT_H = 10
CUT_BEFORE_MS = 9 * 3_600_000


@dataclass(frozen=True)
class Step:
    """A block that was run: what the page shows, what was answered, and where the page shows it."""

    said: str
    shown: str
    found: str
    span: tuple[int, int]
    is_asked: bool
    """Of head office, over GraphQL."""


class Walk:
    """One chain and whoever the page named so far."""

    def __init__(self, chain: Chain, office: Graph, **names: Any) -> None:
        self.chain = chain
        self.names = {**names, "until": self._until}
        self._office = office

    async def along(self, page: str) -> AsyncIterator[Step]:
        for piece in PIECE.finditer(page):
            if piece["day"]:
                await self._wake_on(piece["day"])
                continue
            is_asked = piece["kind"] == "graphql"
            found = await (self._ask if is_asked else self._type)(piece["said"])
            yield Step(piece["said"], piece["shown"] or "", found, piece.span("shown"), is_asked)

    async def _wake_on(self, day: str) -> None:
        """That morning. Until then the server looks at each who is due, on the instant; in the last night it
        draws the cut points."""
        morning = datetime.strptime(day, "%d %B %Y").replace(hour=OPENS_AT_H, tzinfo=ZONE)
        opens_ms = round(morning.timestamp() * 1_000)
        assert opens_ms > self.chain.clock.ms, day
        await self._pass_until(opens_ms - CUT_BEFORE_MS)
        service = self.chain.service
        await Cutting(service.storage, service.admission, service.worlds, service.now_ms).once()
        await self._pass_until(opens_ms)

    async def _until(self, day: date) -> None:
        """Let the days pass until a morning."""
        await self._wake_on(f"{day:%d %B %Y}")

    async def _pass_until(self, ms: int) -> None:
        clock, service = self.chain.clock, self.chain.service
        due: int | None = clock.ms
        while due is not None and due <= ms:
            clock.ms = max(clock.ms, due)
            await service.checking.drain()
            async with service.storage.unscoped_reader() as reader:
                due = await reader.next_due()
        clock.ms = max(clock.ms, ms)

    async def _type(self, said: str) -> str:
        is_online = ".sync(" in said or ".lookup(" in said
        for transport in self.chain.transports.values():
            transport.online = is_online
        code = cast(CodeType, compile(said, "<page>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT))
        with redirect_stdout(io.StringIO()) as printed:
            running = eval(code, self.names)
            if isawaitable(running):
                await running
        await self.chain.service.checking.drain()
        return printed.getvalue()

    async def _ask(self, said: str) -> str:
        given = {name: self.names[name] for name in CALLED.findall(said.partition("{")[0])}
        self.chain.clock.pass_(seconds=1)
        answer = await self._office.ask(said, **{n: getattr(of, "id", of) for n, of in given.items()})
        self.names["answer"] = answer
        await self.chain.service.checking.drain()
        return json.dumps(answer, ensure_ascii=False, indent=2) + "\n"
