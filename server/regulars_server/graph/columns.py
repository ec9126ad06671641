"""Rows as a Parquet file: an Arrow column for each field, of the type that its GraphQL type has there.

Needs pyarrow (extra `parquet`), so it is imported where such a file is written, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import IO, Any

import orjson
import pyarrow
from pyarrow import parquet

from regulars_server.graph.shapes import ENUM, Shape

GROUP_BYTES = 8 << 20
"""Rows are held until they take so much, as Arrow has them; then they are written as one row group."""

Plain = Callable[[Any], Any]


class Columns:
    """Writes rows of one shape into a file as they come."""

    def __init__(self, file: IO[bytes], shape: Mapping[str, Shape]) -> None:
        columns = {name: _CHOICE if below == ENUM else _column(below) for name, below in shape.items()}
        self._schema = pyarrow.schema([(name, type_) for name, (type_, _) in columns.items()])
        self._plain = _fields({name: plain for name, (_, plain) in columns.items()})
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._waiting: list[Any] = []
        self._bytes = 0

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        batch = pyarrow.RecordBatch.from_pylist([self._plain(row) for row in rows], schema=self._schema)
        self._waiting.append(batch)
        self._bytes += batch.nbytes
        if self._bytes >= GROUP_BYTES:
            self._write_group()

    def close(self) -> None:
        """Write what waits, and the footer."""
        self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        if waiting:
            self._writer.write_table(pyarrow.Table.from_batches(waiting))


def _column(shape: Shape) -> tuple[Any, Plain]:
    """The Arrow type of a shape, and what makes of a value of the answer one that Arrow takes."""
    if isinstance(shape, list):
        of, plain = _column(shape[0])
        return pyarrow.list_(of), lambda value: [None if item is None else plain(item) for item in value]
    if isinstance(shape, dict):
        below = {name: _column(inner) for name, inner in shape.items()}
        type_ = pyarrow.struct([(name, of) for name, (of, _) in below.items()])
        return type_, _fields({name: plain for name, (_, plain) in below.items()})
    return _LEAVES.get(shape, (pyarrow.string(), _same))


def _fields(plain: Mapping[str, Plain]) -> Plain:
    def fields(row: Mapping[str, Any]) -> dict[str, Any]:
        return {name: plain[name](value) for name, value in row.items() if value is not None}

    return fields


def _same(value: Any) -> Any:
    return value


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


_LEAVES: Mapping[str, tuple[Any, Plain]] = {
    "DateTime": (pyarrow.timestamp("us", "UTC"), datetime.fromisoformat),
    "Date": (pyarrow.date32(), date.fromisoformat),
    "Int": (pyarrow.int32(), _same),
    "Money": (pyarrow.int64(), _same),
    "Float": (pyarrow.float64(), _same),
    "Boolean": (pyarrow.bool_(), _same),
    "JSON": (pyarrow.string(), _text),
}
"""All others are text."""
_CHOICE: tuple[Any, Plain] = (pyarrow.dictionary(pyarrow.int32(), pyarrow.string()), _same)
"""An enum of the row itself. Within a struct or a list it is text: pyarrow 26 crashes on dictionaries."""
