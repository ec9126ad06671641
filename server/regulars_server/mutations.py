"""A mutation is a change: this makes it, for writers who know no cids, and sends it down the one road.

The cid comes from the token and the idempotency key, so the same mutation sent twice is the same
change and is answered from the log. A new row's id comes from the cid. `seen` is what the writer may
read of each written field at this moment.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Container, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import msgspec

from regulars_schema.declare import JSON, Entity, Level, Ref, Registry, Scope, Unfit, check_text, is_id
from regulars_schema.normal import element_path
from regulars_server.access import Principal
from regulars_server.access.rights import FIELDS, WRITE
from regulars_server.service import Service
from regulars_server.storage.interface import Reader
from regulars_server.versions import Expected
from regulars_sync import changes, document, log
from regulars_sync.changes import Change, Malformed, Source, Value, Verified
from regulars_sync.errors import Refused
from regulars_sync.ids import row_id
from regulars_sync.log import Entry
from regulars_sync.reconcile import Author, Key, Ruling
from regulars_sync.upgrade import translated
from regulars_sync.verifying import may_see

KEY_CHARS_MAX = 200
PATHS_MAX = 1_000
_OUT_OF_REACH = frozenset({"row_unknown", "scope_left"})


@dataclass(frozen=True, slots=True)
class Edit:
    """What one change shall write. Paths are those of the registry: `name`, `tags/vip`."""

    cid: str
    op: Literal["create", "edit"]
    entity: str
    id: str
    fields: Mapping[str, JSON]
    source: Source | None = None
    """Where the values are from (S22), of all of them."""
    verified: Verified | None = None


Drafted = tuple[Edit, Mapping[str, JSON]]
"""An edit, and what it writes by the paths as they are stored."""


class Mutations:
    """Writes on behalf of one person or program. Everything refused is a `Refused` and stores nothing."""

    def __init__(self, service: Service, principal: Principal, author: Author) -> None:
        self._service = service
        self._registry = service.storage.registry
        self._principal = principal
        self._author = author

    def cid(self, key: str, place: int = 0) -> str:
        """The cid under an idempotency key; `place` tells several changes of one mutation apart."""
        try:
            check_text(key, KEY_CHARS_MAX)
        except Unfit as unfit:
            raise Refused(unfit.code, field="idempotencyKey", **unfit.detail) from None
        if not key.strip():
            raise Refused("text_empty", field="idempotencyKey")
        said = f"{self._principal.token}\n{place}\n{key}".encode()
        return blake2b(said, digest_size=16, person=b"regulars.graphql").hexdigest()

    @staticmethod
    def new_id(entity: str, cid: str) -> str:
        return row_id("graphql", entity, cid)

    @property
    def registry(self) -> Registry:
        return self._registry

    def may_read(self, level: Level) -> bool:
        return self._principal.sensitive or level is not Level.SENSITIVE

    def new_change(self, op: Literal["create", "edit"], entity: str, id: str, cid: str) -> Change:
        """A change that writes nothing yet, by whom this writes for."""
        return self._service.change(op, entity, id, {}, cid=cid, actor=self._principal.staff)

    async def admit(self, change: Change, expected_seq: int | None = None) -> None:
        """Apply a change that was made elsewhere. `Refused` as for `write`."""
        self._require_fields(change)
        versions = None
        if expected_seq is not None:
            expected = Expected(expected_seq, self._principal.sensitive)
            versions = {(change.entity, change.id): expected}
        ((ruling,),) = await self._service.admission.write(self._author, [[change]], versions=versions)
        refused = refusal(ruling)
        if refused is not None:
            raise refused

    async def write(self, edit: Edit, expected_seq: int | None = None) -> None:
        """Apply one change. `Refused`: a value's codes, not_found, version_conflict, idempotency_reused."""
        await self.admit(await self._change(edit), expected_seq)

    async def write_together(self, edits: Sequence[Edit], expected_seq: int | None = None) -> None:
        """Apply these changes as one group, all or none; whose right it takes is that of the first.

        `expected_seq` says at what seq the row of the first must still be. A later one may name a row that
        an earlier one makes.
        """
        made: list[Change] = []
        for change in await self._changes(edits):
            if isinstance(change, Refused):
                raise change
            made.append(change)
        first = made[0]
        self._require_fields(first)
        versions = None
        if expected_seq is not None:
            versions = {(first.entity, first.id): Expected(expected_seq, self._principal.sensitive)}
        (rulings,) = await self._service.admission.write(self._author, [changes.grouped(made)], versions)
        refused = [error for ruling in rulings if (error := refusal(ruling)) is not None]
        if refused:
            raise next((error for error in refused if error.code != "group_held"), refused[0])

    async def write_each(
        self,
        edits: Sequence[Edit | Refused],
        versions: Mapping[Key, int] | None = None,
        all_or_none: bool = False,
    ) -> list[Refused | None]:
        """Apply each change that can be applied, or all of them or none; what is wrong with each, in order.

        `versions` says at what seq a row must still be. What is refused already counts as one that can't be
        applied. Statements do not grow with the changes.
        """
        asked = [edit for edit in edits if isinstance(edit, Edit)]
        for edit in asked:
            self._require_fields(edit)
        drafted = iter(await self._changes(asked))
        made = [next(drafted) if isinstance(edit, Edit) else edit for edit in edits]
        groups = [[change] for change in made if not isinstance(change, Refused)]
        if sum(len(changes.encode(change)) for (change,) in groups) > changes.GROUP_BYTES_MAX:
            limits = {"changes_max": changes.GROUP_CHANGES_MAX, "bytes_max": changes.GROUP_BYTES_MAX}
            raise Refused("group_too_large", **limits)
        expected = {key: Expected(seq, self._principal.sensitive) for key, seq in (versions or {}).items()}
        rulings = iter(
            await self._service.admission.write(
                self._author,
                groups,
                expected,
                keep_going=not all_or_none,
                all_or_none=all_or_none,
                dry_run=all_or_none and len(groups) < len(made),
            )
            if groups
            else ()
        )
        return [change if isinstance(change, Refused) else refusal(next(rulings)[0]) for change in made]

    def _require(self, entity: str) -> None:
        """`Refused`: not_allowed, scope_missing."""
        if entity in WRITE:
            self._principal.require(WRITE[entity])

    def _require_fields(self, change: Change | Edit) -> None:
        """`Refused` as for `_require`, also where a field takes a right of its own."""
        self._require(change.entity)
        for right in sorted(
            {FIELDS[found] for path in change.fields if (found := (change.entity, path)) in FIELDS}
        ):
            self._principal.require(right)

    # --- what waits -------------------------------------------------------------------------------------

    async def held(self, cid: str) -> Entry:
        """The held or rejected change of this cid; `Refused("not_found")`."""
        async with self.reader() as reader:
            found = await reader.open_entries(1, cids=[cid]) if changes.is_cid(cid) else []
        if not found:
            raise Refused("not_found", entity="change", field="cid")
        return found[0]

    async def retry(self, cid: str) -> None:
        """Try a held change and its group again; head office's word reaches the whole chain."""
        entry = await self.held(cid)
        await self._service.admission.retry(entry.group, by_head_office=self._author.head_office)

    async def mend(self, key: str, cid: str, fields: Mapping[str, JSON], without: Sequence[str]) -> None:
        """Put a corrected change in the place of a held one. It keeps what that one had seen.

        Of a change that an older version made, what can be said otherwise is; `without` takes either name.
        """
        mended = self.cid(key)
        entry = await self._replaceable(cid, mended)
        old = _change_in(entry)
        if old is None:
            raise Refused("mend_invalid", replaces=cid)
        self._require(old.entity)
        kept = {path: value for path, value in old.fields.items() if path not in without}
        old = msgspec.structs.replace(old, fields=kept)
        if old.entity in self._registry.by_name:
            old, _ = translated(self._registry.get(old.entity), old, self._registry.version)
        given = {path: value for path, value in old.fields.items() if path not in without}
        given |= {path: Value(value) for path, value in fields.items()}
        _require_paths(given)
        added = Edit(
            mended, old.op, old.entity, old.id, {p: v.value for p, v in given.items() if p not in old.fields}
        )
        seen = {path: cids for path, cids in old.seen.items() if path in given}
        seen |= dict((await self._change(added, check=False)).seen) if added.fields else {}
        change = msgspec.structs.replace(
            old,
            cid=mended,
            group=mended,
            size=1,
            fields=given,
            seen=seen,
            stamp=None,
            schema=self._registry.version,
            actor=self._principal.staff or old.actor,
            replaces=cid,
        )
        await self._write_mend(change)

    async def drop(self, key: str, cid: str) -> None:
        """Give up a held change: it is kept in the log and never tried again."""
        dropped = self.cid(key)
        entry = await self._replaceable(cid, dropped)
        entity, id = entry.entity, entry.id
        if entity not in self._registry.by_name or not is_id(id):
            entity, id = "customer", self.new_id("customer", cid)
        change = self._service.change("edit", entity, id, {}, cid=dropped, actor=self._principal.staff)
        await self._write_mend(msgspec.structs.replace(change, replaces=cid))

    async def _replaceable(self, cid: str, own: str) -> Entry:
        """The change that a mend is to replace, also one that this very mend, replayed, has closed."""
        try:
            return await self.held(cid)
        except Refused:
            if not changes.is_cid(cid):
                raise
            async with self._service.storage.writer() as writer:
                known = await writer.entries({cid, own})
            if own in known and known[own].replaces == cid and cid in known:
                return known[cid]
            raise

    async def _write_mend(self, change: Change) -> None:
        ((ruling,),) = await self._service.admission.write(self._author, [[change]])
        refused = refusal(ruling)
        if refused is not None and refused.code != "mend_waits":
            raise refused

    # --- making a change ----------------------------------------------------------------------------------

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[Reader]:
        storage, scopes = self._service.storage, self._author.scopes
        async with storage.unscoped_reader() if scopes is None else storage.reader(scopes) as reader:
            yield reader

    async def _change(self, edit: Edit, check: bool = True) -> Change:
        """The change with what its writer has seen; `Refused("not_found")` for a row out of reach."""
        (made,) = await self._changes([edit], check)
        if isinstance(made, Refused):
            raise made
        return made

    async def _changes(self, edits: Sequence[Edit], check: bool = True) -> list[Change | Refused]:
        """The changes, or why one can't be made. Statements grow with the entities, not with the edits."""
        written = [self._written(edit) for edit in edits]
        drafted = [(edit, w) for edit, w in zip(edits, written, strict=True) if not isinstance(w, Refused)]
        async with self.reader() as reader:
            missing = await self._missing(reader, drafted) if check else {}
            seen = await self._seen(reader, drafted)
        known: Container[str] = await self._known(missing) if missing else ()
        made: list[Change | Refused] = []
        for edit, fields in zip(edits, written, strict=True):
            if isinstance(fields, Refused):
                made.append(fields)
            elif edit.cid in missing and edit.cid not in known:
                made.append(missing[edit.cid])
            else:
                made.append(self._made(edit, fields, seen.get(edit.cid, {})))
        return made

    def _written(self, edit: Edit) -> dict[str, JSON] | Refused:
        """What an edit writes, by the paths as they are stored."""
        try:
            _require_paths(edit.fields)
        except Refused as refused:
            return refused
        entity = self._registry.get(edit.entity)
        return {self._normal(entity, path, value): value for path, value in edit.fields.items()}

    def _made(self, edit: Edit, fields: Mapping[str, JSON], seen: Mapping[str, set[str]]) -> Change:
        return self._service.change(
            edit.op,
            edit.entity,
            edit.id,
            fields,
            seen={path: others for path, cids in seen.items() if (others := sorted(cids - {edit.cid}))},
            cid=edit.cid,
            actor=self._principal.staff,
            source=edit.source,
            verified=edit.verified,
        )

    async def _seen(self, reader: Reader, drafted: Iterable[Drafted]) -> dict[str, dict[str, set[str]]]:
        """By cid, the cids of each path's values that the writer may read, on every row of one person."""
        by_entity: dict[str, list[Drafted]] = {}
        for edit, fields in drafted:
            entity = self._registry.get(edit.entity)
            if not entity.is_fact and entity.scope is not Scope.SAME:  # who proposes has seen nothing
                by_entity.setdefault(edit.entity, []).append((edit, fields))
        seen: dict[str, dict[str, set[str]]] = {}
        for name, edits in by_entity.items():
            ids = {edit.id for edit, _ in edits}
            clusters = await reader.clusters(ids) if name == "customer" else {}
            found = await reader.find(name, ids.union(*clusters.values()))
            for edit, fields in edits:
                of = seen.setdefault(edit.cid, {path: set() for path in fields})
                written = Value(None, edit.source, edit.verified)
                for id in clusters.get(edit.id, (edit.id,)):
                    documents = found[id].documents.items() if id in found else ()
                    registers = document.decode(raw for level, raw in documents if self.may_read(level))
                    for path in of.keys() & registers.keys():
                        values = registers[path].values
                        of[path].update(cid for cid in values if may_see(written, values[cid]))
        return seen

    def _normal(self, entity: Entity, path: str, value: JSON) -> str:
        """The path as it is stored; one that does not fit stays as it is, for admission to refuse."""
        try:
            field, key = entity.at(path)
            return path if key is None else element_path(field, key, value, self._author.country)
        except Unfit:
            return path

    async def _missing(self, reader: Reader, drafted: Iterable[Drafted]) -> dict[str, Refused]:
        """By cid, the first row that a change names, or edits, and that its writer can't see.

        It is told from what is within reach alone: what is not costs no more than what never was.
        """
        named = [(edit, _named(self._registry.get(edit.entity), fields)) for edit, fields in drafted]
        wanted: dict[str, set[str]] = {}
        for edit, targets in named:
            for target, paths in targets.items():
                wanted.setdefault(target, set()).update(paths)
            if edit.op == "edit":
                wanted.setdefault(edit.entity, set()).add(edit.id)
        found = {target: await reader.find(target, ids) for target, ids in wanted.items()}
        missing: dict[str, Refused] = {}
        made = {(edit.entity, edit.id) for edit, _ in named if edit.op == "create"}
        for edit, targets in named:
            for target, paths in targets.items():
                for id, path in paths.items():
                    if id not in found[target] and (target, id) not in made:
                        missing.setdefault(edit.cid, Refused("not_found", entity=target, field=path))
            if edit.op == "edit" and edit.id not in found[edit.entity]:
                missing.setdefault(edit.cid, Refused("not_found", entity=edit.entity))
        return missing

    async def _known(self, cids: Iterable[str]) -> Container[str]:
        async with self._service.storage.writer() as writer:
            return await writer.entries(set(cids))


def refusal(ruling: Ruling) -> Refused | None:
    """Why a change was not taken; None when it was. Out of reach and non-existing are the same."""
    if ruling.verdict in log.ACCEPTED:
        return None
    code = ruling.code or "change_malformed"
    if code in _OUT_OF_REACH:
        return Refused("not_found", entity=ruling.change.entity)
    detail = dict(ruling.detail or {})
    if ruling.field is not None:
        detail["field"] = ruling.field
    return Refused(code, **detail)


def _named(entity: Entity, fields: Mapping[str, JSON]) -> dict[str, dict[str, str]]:
    """Target entity -> id -> path, of references to customers and to what the whole chain holds."""
    named: dict[str, dict[str, str]] = {}
    for path, value in fields.items():
        try:
            field, key = entity.at(path)
        except Unfit:
            continue
        id = key if field.is_set and value else value
        if isinstance(field.type, Ref) and is_id(id) and field.type.entity in _CHECKED:
            named.setdefault(field.type.entity, {})[str(id)] = path
    for name, part in entity.naming:
        if part is not None and isinstance(fields.get(name), list):
            for item in fields[name]:
                if isinstance(item, dict) and is_id(item.get(part)):
                    named.setdefault("customer", {})[item[part]] = name
    return named


_CHECKED = frozenset({"unit", "staff", "segment", "customer", "interaction"})


def _change_in(entry: Entry) -> Change | None:
    try:
        return changes.decode(entry.body) if entry.body is not None else None
    except Malformed:
        return None


def _require_paths(fields: Iterable[str]) -> None:
    paths = list(fields)
    if len(paths) > PATHS_MAX:
        raise Refused("query_too_large", what="fields", limit=PATHS_MAX)
    for path in paths:
        try:
            check_text(path, changes.NAME_CHARS_MAX)
        except Unfit as unfit:
            raise Refused(
                unfit.code, field=path[:80].encode(errors="replace").decode(), **unfit.detail
            ) from None
