"""graphql-core with a short way for plain fields: one function an object (`compiling`), not a call a field.

What is not plain is resolved as ever, beside it. On anything unusual the whole object, or list, goes the
long way, so data and errors are exactly graphql-core's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from inspect import isawaitable
from typing import Any, ClassVar

from graphql import (
    GraphQLObjectType,
    GraphQLOutputType,
    get_nullable_type,
    is_abstract_type,
    is_leaf_type,
    is_object_type,
)
from graphql.execution.collect_fields import FieldDetailsList, GroupedFieldSet
from graphql.pyutils import Path
from graphql.type import GraphQLResolveInfo
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from regulars_server.graph.compiling import (
    Chosen,
    Compiled,
    Pending,
    Read,
    Reference,
    Selection,
    origin,
    plain,
    told_apart,
)

_Parted = tuple[Read | None, GroupedFieldSet]


class CompiledExecutor(StrawberryGraphQLCoreExecutionContext):
    """Use it as `executor_class`. Results, data and errors, are those of the class that it extends."""

    compiled: ClassVar[Compiled] = Compiled()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._parted: dict[int, tuple[GroupedFieldSet, _Parted]] = {}

    def execute_collected_subfields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path,
        grouped_field_set: GroupedFieldSet,
        new_defer_usages: Any,
        position_context: Any,
    ) -> Any:
        def long_way() -> Any:
            return super(CompiledExecutor, self).execute_collected_subfields(
                parent_type, source_value, path, grouped_field_set, new_defer_usages, position_context
            )

        read, rest = self._part(parent_type, grouped_field_set)
        if read is None or new_defer_usages:
            return long_way()
        later: list[Pending] = []
        try:
            found: dict[str, Any] = read(source_value, later)
        except Exception:
            return long_way()
        if not rest:
            return self._filled(found, later, long_way) if later else found
        resolved = self.execute_fields(parent_type, source_value, path, rest, position_context)
        if isawaitable(resolved):
            return self._joined_later(grouped_field_set, found, resolved)
        return _joined(grouped_field_set, found, resolved)

    async def _joined_later(
        self, order: GroupedFieldSet, found: dict[str, Any], resolved: Awaitable[dict[str, Any]]
    ) -> dict[str, Any]:
        return _joined(order, found, await resolved)

    def complete_iterable_value(
        self,
        item_type: GraphQLOutputType,
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        items: Iterable[Any],
        position_context: Any,
    ) -> Any:
        def long_way() -> Any:
            return super(CompiledExecutor, self).complete_iterable_value(
                item_type, field_details_list, info, path, items, position_context
            )

        of = get_nullable_type(item_type)
        if type(items) is not list or self.get_stream_usage(field_details_list, path) is not None:
            return long_way()
        read = self._whole(of, field_details_list)
        if read is None:
            return long_way()
        later: list[Pending] = []
        try:
            found = [read(item, later) for item in items]
        except Exception:
            return long_way()  # one of them is unusual, which is rare
        return self._filled(found, later, long_way) if later else found

    async def _filled(self, found: Any, later: list[Pending], long_way: Callable[[], Any]) -> Any:
        """What was found, once every place in it that waits has its row: one look-up for each level."""
        try:
            while later:
                asked, later = later, []
                ids: dict[Reference, dict[str, Any]] = {}
                for _, _, id, reference in asked:
                    ids.setdefault(reference, {})[id] = None
                related = self.context_value.related_each
                rows = await asyncio.gather(*(related(each.origin, ids[each]) for each in ids))
                for (reference, made), found_rows in zip(ids.items(), rows, strict=True):
                    for id, row in zip(made, found_rows, strict=True):
                        made[id] = None if row is None else reference.read(row, later)
                for place, name, id, reference in asked:
                    place[name] = ids[reference][id]
        except Exception:
            again = long_way()
            return await again if isawaitable(again) else again
        return found

    # --- what is plain -----------------------------------------------------------------------------------

    def _part(self, type_: GraphQLObjectType, fields: GroupedFieldSet) -> _Parted:
        """A function for the plain ones of these fields (None: there is none), and the others."""
        known = self._parted.get(id(fields))
        if known is None:
            chosen = {name: self._chosen(type_, name, details) for name, details in fields.items()}
            if None in chosen.values():  # what has to wait anyway waits in the same way as the others
                chosen = {name: None if c is None or c.waits else c for name, c in chosen.items()}
            rest = {name: fields[name] for name, choice in chosen.items() if choice is None}
            selected = tuple(choice for choice in chosen.values() if choice is not None)
            read = None
            if selected and origin(type_) is not None:
                read = self.compiled.read(Selection(type_, selected))
            known = self._parted[id(fields)] = (fields, (read, rest))  # kept with it: its id stays its own
        return known[1]

    def _whole(self, of: Any, details: FieldDetailsList) -> Read | None:
        """A function for whatever object stands at a field of this type, None unless all of it is plain."""
        inner = self._inner(of, details)
        if not inner:
            return None
        return self.compiled.read(inner[0]) if is_object_type(of) else self.compiled.read_any(inner)

    def _inner(self, of: Any, details: FieldDetailsList) -> tuple[Selection, ...] | None:
        """What is selected of an object, union or interface, None unless all of it is plain."""
        if is_leaf_type(of):
            return ()
        if is_object_type(of):
            types: tuple[GraphQLObjectType, ...] = (of,)
        elif is_abstract_type(of):
            types = tuple(self.schema.get_possible_types(of))
            if not told_apart(of, types):
                return None
        else:
            return None
        found = []
        for type_ in types:
            if origin(type_) is None:
                return None
            fields, defers, _ = self.collect_subfields(type_, details)
            chosen = [self._chosen(type_, name, each) for name, each in fields.items()]
            if defers or None in chosen:
                return None
            found.append(Selection(type_, tuple(chosen)))  # type: ignore[arg-type] # None is not in it
        return tuple(found)

    def _chosen(self, parent: GraphQLObjectType, name: str, details: FieldDetailsList) -> Chosen | None:
        """The field as it is selected here, None unless all of it is plain."""
        field = details[0].node.name.value
        if field == "__typename":
            return Chosen(name, None, ())
        found = plain(parent, field)
        if found is None or self.middleware_manager:
            return None
        inner = self._inner(found.of, details)
        return None if inner is None else Chosen(name, found, inner)


def _joined(order: GroupedFieldSet, found: dict[str, Any], resolved: dict[str, Any]) -> dict[str, Any]:
    both = found | resolved
    return {name: both[name] for name in order if name in both}
