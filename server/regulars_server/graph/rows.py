"""A row as GraphQL shows it: the shown value of every field, and what stands beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

import orjson
import strawberry
from strawberry import scalars

from regulars_schema.declare import JSON, Entity, Level, Unfit
from regulars_server.graph.declared import resolved
from regulars_server.storage.interface import Found
from regulars_sync import document
from regulars_sync.merge import Candidate, choose

T = TypeVar("T")


@strawberry.type(description="An element of a set: the key that identifies it, and what a person typed.")
class Element:
    key: str = strawberry.field(description="The normal form, such as +8613800138000.")
    typed: str = strawberry.field(description="The spelling in which it was entered.")


@strawberry.type(
    description="A value that stands beside the shown one, because neither writer had seen the other."
)
class Beside:
    value: scalars.JSON | None
    cid: str = strawberry.field(description="The change that wrote it.")
    stamp: str = strawberry.field(description="Its place in time, in milliseconds; the later, the newer.")
    source: str | None
    verified: str | None


@strawberry.type(description="A field that holds several values which have not seen each other.")
class ContestedField:
    path: str = strawberry.field(description="The field; of a set `field/key`.")
    shown: scalars.JSON | None = strawberry.field(description="The value that its rule shows.")
    beside: list[Beside] = strawberry.field(description="The values that stand beside it, the latest first.")


@dataclass(slots=True)
class Row:
    """What its reader may see of a row."""

    entity: Entity
    id: str
    version: str
    values: dict[str, Any]
    """Nested: a set is a dict of its present elements."""
    documents: list[bytes]

    def keys(self, field: str) -> list[Any]:
        return sorted(self.values.get(field) or ())

    def elements(self, field: str) -> list[Element]:
        found = self.values.get(field) or {}
        return [
            Element(key=key, typed=typed if isinstance(typed, str) else key)
            for key, typed in sorted(found.items())
        ]

    def part(self, field: str, build: Callable[[Mapping[str, JSON]], T]) -> T | None:
        given = self.values.get(field)
        return None if given is None else build(given)

    def parts(self, field: str, build: Callable[[Mapping[str, JSON]], T]) -> list[T]:
        return [build(item) for item in self.values.get(field) or ()]


def row_of(entity: Entity, found: Found, epoch: str, sensitive: bool) -> Row:
    """The row with the documents that its reader may read."""
    documents = [raw for level, raw in found.documents.items() if sensitive or level is not Level.SENSITIVE]
    flat: dict[str, JSON] = {}
    for raw in documents:
        flat |= orjson.loads(raw)
    for name in document.META:
        flat.pop(name, None)
    version = version_of(epoch, found.seq(sensitive))
    return Row(entity, found.id, version, document.nested(entity, flat), documents)


def version_of(epoch: str, seq: int) -> str:
    return f"{epoch}.{seq}"


def seq_of(version: str, epoch: str) -> int:
    """The seq of a version; -1, which no row has, for that of another epoch or for no version at all."""
    said, _, seq = version.rpartition(".")
    return int(seq) if said == epoch and seq.isdecimal() and seq.isascii() and len(seq) < 19 else -1


@strawberry.interface(description="A row. Its id is the one under which tablets and files know it too.")
class Node:
    ENTITY: ClassVar[str] = ""
    id: strawberry.ID
    version: str = strawberry.field(description="Changes with the row: give it as `expectedVersion`.")
    row: strawberry.Private[Row]

    @resolved("The fields on which writers disagree, with every value.")
    def contested(self) -> list[ContestedField]:
        registers = document.decode(self.row.documents)
        found = []
        for path in sorted(path for path, register in registers.items() if len(register.values) > 1):
            values = sorted(registers[path].values.values(), key=lambda c: (c.stamp, c.cid), reverse=True)
            chosen = self._chosen(path, values)
            beside = [
                Beside(value=c.value, cid=c.cid, stamp=str(c.stamp), source=c.source, verified=c.verified)
                for c in values
                if c.cid != chosen.cid
            ]
            found.append(ContestedField(path=path, shown=chosen.value, beside=beside))
        return found

    def _chosen(self, path: str, values: list[Candidate]) -> Candidate:
        """The one that the rule shows; of a field that nobody here declared, the latest."""
        try:
            return choose(self.row.entity.at(path)[0], values)
        except Unfit:
            return values[0]

    @classmethod
    def of(cls, row: Row) -> Self:
        raise NotImplementedError
