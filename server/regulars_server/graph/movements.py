"""Why somebody came into a segment, left it, or has another value in a scheme, as GraphQL tells it."""

from __future__ import annotations

from enum import Enum

import strawberry
from strawberry import scalars

from regulars_server.graph.declared import valued
from regulars_server.graph.request import Context
from regulars_server.graph.scalars import UUID, DateTime
from regulars_server.storage.standing import Movement
from regulars_sync.clock import instant_of


@strawberry.enum(description="变动的原因 · By what somebody moved.")
class MovedBy(Enum):
    FACTS = valued("facts", "往来记录 · Facts that came, were corrected or voided")
    TIME = valued("time", "时间推移 · Time alone")
    PERSON = valued("person", "人工 · A person: put in, taken out, assigned")
    RULE = valued("rule", "规则已停用 · The segment or scheme is no more")
    REST = valued("rest", "其他 · The card, a link, an assignment, or the rule itself")


@strawberry.type(description="A test of a rule that turned.")
class TurnedTest:
    rule: str = strawberry.field(description="The test, as text.")
    holds: bool | None = strawberry.field(description="Whether it holds now; null: unknown.")
    value: scalars.JSON | None = strawberry.field(description="What was compared, where something was.")


@strawberry.type(
    name="Movement", description="Somebody came into a segment, left it, or has another value in a scheme."
)
class Moved:
    at: DateTime = strawberry.field(
        description="When it was found; where time alone moved somebody, the instant at which it did."
    )
    customer_id: UUID = strawberry.field(description="Who moved; the survivor of merged customers.")
    segment_id: UUID | None = strawberry.field(description="The segment; null of a scheme.")
    scheme: str | None = strawberry.field(description="The scheme's key; null of a segment.")
    before: str | None = strawberry.field(
        description="The value; of a segment `member`. Null: none was, or no member."
    )
    after: str | None = strawberry.field(
        description="The value; of a segment `member`. Null: none is, or no member."
    )
    by: MovedBy = strawberry.field(description="By what.")
    tests: list[TurnedTest] = strawberry.field(
        description="What turned; tests of sensitive fields only for those who may read them."
    )


def told(movement: Movement, context: Context) -> Moved:
    reason = movement.reason or {}
    is_segment = movement.what == "membership"
    return Moved(
        at=DateTime(instant_of(movement.at_ms)),
        customer_id=UUID(movement.customer),
        segment_id=UUID(movement.key) if is_segment else None,
        scheme=None if is_segment else movement.key,
        before=movement.before,
        after=movement.after,
        by=MovedBy(reason.get("by", "rest")),
        tests=[
            TurnedTest(rule=test["rule"], holds=test["answer"], value=test.get("value"))
            for test in reason.get("tests", ())
            if not test.get("sensitive") or context.sensitive
        ],
    )


@strawberry.type(description="How far all customers were looked at, where they stand by the rules of now.")
class StandingProgress:
    reached: int = strawberry.field(description="So many had their turn, or are waiting for it.")
    total: int = strawberry.field(description="So many customers there are.")
    waiting: int = strawberry.field(description="So many wait at this moment.")


async def progress(context: Context) -> StandingProgress | None:
    if context.author.scopes is not None:
        return None
    async with context.reading() as reader:
        sweep = await reader.sweep(context.service.now_ms())
    return None if sweep is None else StandingProgress(**sweep._asdict())
