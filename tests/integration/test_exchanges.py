"""What docs/PROTOCOL.md shows is what the server says: every recorded exchange is played again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.recorded.exchanges import DOC, FOLDER, STORIES, filled, tell
from tests.support import stranger

AGAIN = "make generate"
CARD = '{"id":"1","name":"林芳","v":[]}'.encode()
LIN, MEI = (f"01a20038-0100-7000-8000-0000000000{i}" for i in (10, 20))


@pytest.mark.parametrize("name", STORIES)
async def test_a_story_is_answered_byte_for_byte_as_it_was_recorded(name: str) -> None:
    story = await tell(name)
    assert story.written() == (FOLDER / f"{name}.json").read_bytes(), AGAIN
    doc = DOC.read_text()
    assert f"story *{name}*" in doc.replace("Story", "story"), "no sentence of the document leads here"
    marked = re.findall(r"<!-- recorded: (\S+)\.", doc)
    assert set(marked) <= STORIES.keys()
    only = re.sub(rf"<!-- recorded: (?!{name}\.)", "<!-- another: ", doc)
    assert filled(only, {name: story}) == only, AGAIN


def test_every_recorded_story_is_told() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == STORIES.keys()


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("trail(0) of `a22e7a5d345c77dd`", stranger.trail_start("a22e7a5d345c77dd")),
        (
            "trail(1) with `000102030405060708090a0b0c0d0e0f`",
            stranger.trail_next(stranger.trail_start("a22e7a5d345c77dd"), bytes(range(16)).hex()),
        ),
        ("UUIDv7 of 1795300000000 and ten bytes `ff`", stranger.row_id(1_795_300_000_000, b"\xff" * 10)),
        (f"id of the link from `{LIN}` to `{MEI}`, `family`", stranger.link_id(LIN, MEI, "family")),
        (f"hash of the customer `{CARD.decode()}`", stranger.digest([("customer", CARD)])[1]),
        (
            "digest of that and of the link of the same bytes",
            stranger.spelled(stranger.digest([("customer", CARD), ("link", CARD)])).decode(),
        ),
    ],
)
def test_worked_values_are_right(label: str, value: str) -> None:
    assert f"| {label} | `{value}` |" in Path(DOC).read_text(), value
