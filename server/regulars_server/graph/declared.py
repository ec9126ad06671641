"""Strawberry's decorators with types: what they make is used as what they were given."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

import strawberry
from strawberry.types.arguments import StrawberryArgumentAnnotation

F = TypeVar("F", bound=Callable[..., Any])


def resolved(about: str | None = None, name: str | None = None) -> Callable[[F], F]:
    """A field that a method answers; `name` where Python has that word for itself."""

    def declare(method: F) -> F:
        return strawberry.field(method, name=name, description=about)  # type: ignore[return-value]

    return declare


REFERENCE = "reference"


def reference(attribute: str, about: str) -> Callable[[F], F]:
    """A field that a method answers with the row whose id an attribute holds, as `Context.related` does.

    Said so, that the rows which a whole list refers to can be asked for at once.
    """

    def declare(method: F) -> F:
        metadata = {REFERENCE: attribute}
        return strawberry.field(method, description=about, metadata=metadata)  # type: ignore[return-value]

    return declare


def mutation(about: str | None = None) -> Callable[[F], F]:
    def declare(method: F) -> F:
        return strawberry.mutation(method, description=about)  # type: ignore[return-value]

    return declare


def said(about: str) -> StrawberryArgumentAnnotation:
    """The description of an argument: `Annotated[bool, said("Whether ...")]`."""
    return strawberry.argument(description=about)


def subscribed(about: str) -> Callable[[F], F]:
    """A field whose events a method gives."""

    def declare(method: F) -> F:
        return strawberry.subscription(method, description=about)  # type: ignore[return-value]

    return declare


def valued(value: str, about: str) -> str:
    """A value of an enum, with its labels."""
    return strawberry.enum_value(value, description=about)  # type: ignore[return-value]


@strawberry.enum(description="语言 · A language of labels.")
class Language(Enum):
    ZH = valued("zh", "中文 · Chinese")
    EN = valued("en", "英文 · English")
