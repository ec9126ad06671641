"""The words of SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import orjson

from regulars_schema.search import Match
from regulars_server.storage.search_index import SEARCHED, tell
from regulars_server.storage.sql.dialect import Among, Connection
from regulars_sync.search_index import query

PARAMETERS_MAX = 16_384


class SqliteDialect:
    same = (
        "SELECT i.other FROM member m JOIN identity i ON i.one=m.id WHERE i.decision='same'"
        " UNION SELECT i.one FROM member m JOIN identity i ON i.other=m.id WHERE i.decision='same'"
    )
    pairs = "member m CROSS JOIN identity i INDEXED BY identity_by_one ON i.one=m.id"
    touches = (
        "EXISTS (SELECT 1 FROM (SELECT key AS path FROM json_each(b.detail, '$.beside')"
        " UNION ALL SELECT value FROM json_each(b.detail, '$.normal')"
        " UNION ALL SELECT json_extract(value, '$[0]') FROM json_each(b.detail, '$.older')"
        " UNION ALL SELECT key FROM json_each(b.detail, '$.filled'))"
        " WHERE b.entity || '.' || substr(path, 1, instr(path || '/', '/') - 1)"
        " IN (SELECT value FROM json_each(?)))"
    )
    wrote = (
        "EXISTS (SELECT 1 FROM json_each(CAST(f.body AS TEXT), '$.fields')"
        " WHERE f.entity || '.' || substr(key, 1, instr(key || '/', '/') - 1)"
        " IN (SELECT value FROM json_each(?)))"
    )
    verdict = "json_extract(CAST(t.document AS TEXT), '$.verdict')"
    code = "json_extract(CAST(t.document AS TEXT), '$.code')"
    closed = "json_extract(CAST(t.document AS TEXT), '$.closed')"
    names = "EXISTS (SELECT 1 FROM json_each(?) WHERE instr(body, CAST(value AS BLOB)))"
    ids = "json_group_array(id)"

    def list(self, values: Iterable[Any]) -> str:
        values = [*values]
        try:
            return orjson.dumps(values).decode()
        except TypeError:
            return orjson.dumps([v for v in values if not isinstance(v, str) or v.isprintable()]).decode()

    def match(self, entity: str, t: str, wanted: Match) -> Among:
        index = SEARCHED[entity]
        return Among(f"({t}.row IN (SELECT rowid FROM {index} WHERE {index} MATCH ?))", [query(wanted)])

    def retell(
        self, connection: Connection, entity: str, differences: Iterable[tuple[int, set[str], set[str]]]
    ) -> None:
        tell(connection, entity, differences)

    def plan_anew(self, connection: Connection) -> None:
        """No plan rests on values here."""

    def blobs(self, hexes: Iterable[str]) -> Iterator[Among]:
        found = iter([bytearray.fromhex(text) for text in dict.fromkeys(hexes)])
        while part := list(islice(found, PARAMETERS_MAX)):
            size = 1
            while size < len(part):
                size *= 2
            part += [part[-1]] * (size - len(part))
            yield Among(f"IN ({','.join('?' * size)})", part)


SQLITE = SqliteDialect()
