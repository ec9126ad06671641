"""Values of our own scalars for generated GraphQL: such that fit, as literals."""

from __future__ import annotations

from graphql import FloatValueNode, IntValueNode, ObjectFieldNode, ObjectValueNode, StringValueNode, ValueNode
from graphql.language import NameNode
from hypothesis import strategies as st

from regulars_schema.declare import SAFE_INT_MAX


def _text(value: object) -> ValueNode:
    return StringValueNode(value=str(value))


def _number(value: int) -> ValueNode:
    return IntValueNode(value=str(value))


def _object(items: dict[str, str]) -> ValueNode:
    fields = tuple(
        ObjectFieldNode(name=NameNode(value=key), value=_text(item)) for key, item in items.items()
    )
    return ObjectValueNode(fields=fields)


SCALARS: dict[str, st.SearchStrategy[ValueNode]] = {
    "UUID": st.uuids().map(_text),
    "Date": st.dates().map(_text),
    "DateTime": st.datetimes(timezones=st.timezones()).map(lambda at: _text(at.isoformat())),
    "Money": st.integers(-SAFE_INT_MAX, SAFE_INT_MAX).map(_number),
    "Phone": st.from_regex(r"\A\+?[0-9 ]{3,20}\Z").map(_text),
    "JSON": st.one_of(
        st.text(max_size=20).map(_text),
        st.integers(-9, 9).map(_number),
        st.floats(-9, 9).map(lambda value: FloatValueNode(value=repr(value))),
        st.dictionaries(st.sampled_from(["name", "notes", "a"]), st.text(max_size=9), max_size=2).map(
            _object
        ),
    ),
}
