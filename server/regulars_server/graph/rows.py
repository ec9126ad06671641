"""A row as GraphQL shows it: the shown value of every field, and what stands beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, ClassVar, Self, TypeVar

import msgspec
import orjson
import strawberry
from msgspec.json import Decoder
from strawberry import scalars

from regulars_schema.declare import JSON, Entity, Level, Unfit
from regulars_server.graph.declared import resolved
from regulars_server.graph.scalars import Phone, phone_of
from regulars_server.storage.interface import Found
from regulars_sync import document
from regulars_sync.document import META, Document, nested
from regulars_sync.merge import Candidate, choose

T = TypeVar("T")


@strawberry.type(description="An element of a set: the key that identifies it, and what a person typed.")
class Element:
    key: str = strawberry.field(description="The normal form, such as +8613800138000.")
    typed: str = strawberry.field(description="The spelling in which it was entered.")
    phone: Phone | None = strawberry.field(
        description="The key, where it is a telephone number.", default=None
    )


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


class Row:
    """What its reader may see of a row; decoded when something of it is asked for."""

    __slots__ = ("_flat", "_values", "entity", "epoch", "found", "sensitive")

    def __init__(self, entity: Entity, found: Found, epoch: str, sensitive: bool) -> None:
        self.entity = entity
        self.found = found
        self.epoch = epoch
        self.sensitive = sensitive
        self._flat: Document | None = None
        self._values: Document | None = None

    @property
    def id(self) -> str:
        return self.found.id

    @property
    def version(self) -> str:
        return version_of(self.epoch, self.found.seq(self.sensitive))

    def decoded(self, some: Decoder[T]) -> T:
        """What such a decoder reads of the documents."""
        documents = self.found.documents
        if self._flat is None and (len(documents) == 1 or not self.sensitive) and Level.INTERNAL in documents:
            return some.decode(documents[Level.INTERNAL])
        return msgspec.convert(self.flat, some.type)

    @property
    def documents(self) -> list[bytes]:
        """Those that its reader may read."""
        documents = self.found.documents
        if not self.sensitive and Level.SENSITIVE in documents:
            return [raw for level, raw in documents.items() if level is not Level.SENSITIVE]
        return list(documents.values())

    @property
    def flat(self) -> Document:
        """The shown value of each path, and what else stands in the documents."""
        if self._flat is None:
            decoded = [orjson.loads(raw) for raw in self.documents]
            self._flat = (
                decoded[0] if len(decoded) == 1 else {k: v for each in decoded for k, v in each.items()}
            )
        return self._flat

    @property
    def values(self) -> Document:
        """The shown values, nested: a set is a dict of its present elements."""
        if self._values is None:
            flat = {path: value for path, value in self.flat.items() if path not in META}
            self._values = nested(self.entity, flat)
        return self._values

    def keys(self, field: str) -> list[Any]:
        return sorted(self.values.get(field) or ())

    def elements(self, field: str) -> list[Element]:
        found = self.values.get(field) or {}
        return [
            Element(key=key, typed=typed if isinstance(typed, str) else key, phone=phone_of(key))
            for key, typed in sorted(found.items())
        ]

    def part(self, field: str, build: Callable[[Mapping[str, JSON]], T]) -> T | None:
        given = self.values.get(field)
        return None if given is None else build(given)

    def parts(self, field: str, build: Callable[[Mapping[str, JSON]], T]) -> list[T]:
        return [build(item) for item in self.values.get(field) or ()]


class Value:
    """Reads what stands at one path: a field that is no set and no struct."""

    __slots__ = ("is_required", "path")

    def __init__(self, path: str, is_required: bool = False) -> None:
        self.path = path
        self.is_required = is_required

    def __call__(self, row: Row) -> JSON:
        return row.flat[self.path] if self.is_required else row.flat.get(self.path)


Reads = Mapping[str, Callable[[Row], Any]]
"""How each attribute of a row's GraphQL type is read."""


def version_of(epoch: str, seq: int) -> str:
    return f"{epoch}.{seq}"


def seq_of(version: str, epoch: str) -> int:
    """The seq of a version; -1, which no row has, for that of another epoch or for no version at all."""
    said, _, seq = version.rpartition(".")
    return int(seq) if said == epoch and seq.isdecimal() and seq.isascii() and len(seq) < 19 else -1


@strawberry.interface(description="A row. Its id is the one under which tablets and files know it too.")
class Node:
    ENTITY: ClassVar[str] = ""
    READS: ClassVar[Reads] = {"id": Value("id", is_required=True), "version": attrgetter("version")}
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
        node = cls.__new__(cls)
        node.row = row
        return node

    def __getattr__(self, name: str) -> Any:
        """Read what was not asked for yet; `KeyError` for a row that lacks what it must have."""
        read = self.READS.get(name)
        if read is None:
            raise AttributeError(f"{type(self).__name__} has no {name}")
        value = read(self.row)
        setattr(self, name, value)
        return value
