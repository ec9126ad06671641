"""What rules and metrics say of one customer, as GraphQL shows it."""

from __future__ import annotations

from enum import Enum

import strawberry
from strawberry import scalars

from regulars_server.graph.declared import valued
from regulars_server.graph.scalars import UUID, DateTime


@strawberry.enum(description="回答 · What a rule says of a customer.")
class Answer(Enum):
    YES = valued("yes", "是 · Yes")
    NO = valued("no", "否 · No")
    UNKNOWN = valued("unknown", "未知 · It rests on what can't be seen")

    @classmethod
    def of(cls, answer: bool | None) -> Answer:
        return cls.UNKNOWN if answer is None else cls.YES if answer else cls.NO


@strawberry.type(description="A number of a customer.")
class MetricValue:
    name: str = strawberry.field(description="As it stands in rules.")
    label: str = strawberry.field(description="What people call it, in the language of Accept-Language.")
    unit: str = strawberry.field(
        description="Count, days, money (minor units), percent, score (0 to 100, or 1 to 5) or years."
    )
    currency: str | None = strawberry.field(description="Of money: that of the home unit.")
    value: scalars.JSON | None = strawberry.field(
        description="A whole number; null where there is nothing to measure."
    )
    is_known: bool = strawberry.field(description="False where it rests on what you may not see.")


@strawberry.input(description="What is asked of a customer: one of these.")
class ExplainInput:
    rule: scalars.JSON | None = strawberry.field(description="A rule, as text or as its tree.", default=None)
    segment: UUID | None = strawberry.field(description="Membership of a segment.", default=None)
    scheme: str | None = strawberry.field(description="The scheme, by its key.", default=None)


@strawberry.type(description="One line of an explanation: a test, or what ties several together.")
class ExplainStep:
    depth: int = strawberry.field(description="0 is the whole; what a line rests on follows it, one deeper.")
    text: str = strawberry.field(description="The rule of this line.")
    answer: Answer = strawberry.field(description="What it says of the customer.")
    value: scalars.JSON | None = strawberry.field(description="What was compared.")
    until: DateTime | None = strawberry.field(
        description="The answer stands until then although nothing happens; null: for ever."
    )


@strawberry.type(description="Why a rule holds of a customer, or does not.")
class Explanation:
    as_of: DateTime = strawberry.field(description="As of when it was asked: later facts do not count.")
    answer: Answer = strawberry.field(description="What it says; of a scheme whether a value could be told.")
    values: list[str] = strawberry.field(description="Of a scheme: the values of the customer in it.")
    until: DateTime | None = strawberry.field(
        description="It stands until then although nothing happens; null: for ever."
    )
    steps: list[ExplainStep] = strawberry.field(description="The tree, line by line, with what was compared.")
