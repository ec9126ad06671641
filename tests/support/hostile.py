# ruff: noqa: E501 (queries)
"""Documents and bodies that are made to hurt: each is small to send, and would be endless to serve."""

from __future__ import annotations

from typing import Any

import orjson
from graphql import get_introspection_query


def deep(levels: int) -> str:
    return "{ units { nodes " + "{ parent " * levels + "{ id }" + " }" * levels + " } }"


def products(fragments: int, spreads: int) -> str:
    """Each fragment spreads the next several times: small to read, endless to run."""
    text = "{ me { ...F0 } } "
    for i in range(fragments):
        text += f"fragment F{i} on Me {{ {' '.join(f'a{i}x{j}: units {{ ...U{i} }}' for j in range(spreads))} ...F{i + 1} }} fragment U{i} on Unit {{ id }} "
    return text + f"fragment F{fragments} on Me {{ name }}"


def doubling(levels: int) -> str:
    text = "{ units { nodes { ...F0 } } } "
    for i in range(levels):
        text += f"fragment F{i} on Unit {{ a: parent {{ ...F{i + 1} }} b: parent {{ ...F{i + 1} }} }} "
    return text + f"fragment F{levels} on Unit {{ id }}"


HOSTILE: dict[str, str] = {
    "deep": deep(200),
    "very deep": "{ a" * 1_900 + "}" * 1_900,
    "deep lists": "{ customers(where: " + "[" * 3_000 + " }",
    "deep objects": "{ customers(where: " + "{NOT:" * 1_200 + "{}" + "}" * 1_200 + ") { totalCount } }",
    "aliases": "{ " + " ".join(f"a{i}: __typename" for i in range(900)) + " }",
    "nested aliases": "{ me { " + " ".join(f"a{i}: name" for i in range(900)) + " } }",
    "root fields": "{ " + " ".join(f"a{i}: me {{ name }}" for i in range(21)) + " }",
    "fields again": "{ me { " + "name " * 3_000 + "} }",
    "circular fragments": "{ me { ...A } } fragment A on Me { ...B } fragment B on Me { ...A }",
    "self fragment": "{ me { ...A } } fragment A on Me { name ...A }",
    "fragment x alias": products(30, 20),
    "doubling fragments": doubling(40),
    "inline depth": "{ units { nodes " + "{ ... on Unit { parent " * 40 + "{ id }" + " } }" * 40 + " } }",
    "comments": "{ me { name } }" + "#" * 1_000_000,
    "comment lines": "{ me { name } }" + "\n#" * 30_000,
    "directives": "{ me { name " + "@include(if: true) " * 700 + "} }",
    "long string": '{ customers(search: "' + "x" * 70_000 + '") { totalCount } }',
    "introspection twice deep": "{ __schema { types { fields { type { fields { type { fields { type { name } } } } } } } } }",
}


def overlapping(fragments: int, fields: int) -> str:
    """Fragments that all answer under the same names: every two of them have to be compared."""
    names = [
        "kind",
        "name",
        "role",
        "sensitive",
        "headOffice",
        "wholeChain",
        "unitIds",
        "staffId",
        "deviceId",
    ]
    body = " ".join(names[i % len(names)] for i in range(fields))
    spreads = " ".join(f"...F{i}" for i in range(fragments))
    return f"{{ me {{ {spreads} }} }} " + " ".join(
        f"fragment F{i} on Me {{ {body} }}" for i in range(fragments)
    )


def overlapping_aliases(fragments: int, fields: int) -> str:
    body = " ".join(f"x{j}: name" for j in range(fields))
    spreads = " ".join(f"...F{i}" for i in range(fragments))
    return f"{{ me {{ {spreads} }} }} " + " ".join(
        f"fragment F{i} on Me {{ {body} }}" for i in range(fragments)
    )


INNER = "query ($n: Int) { customers(first: $n) { nodes { interactions(first: $n) { nodes { party { customer { interactions(first: $n) { nodes { id } } } } } } } } }"
HOSTILE |= {
    "10,000 aliases": "{ " + " ".join(f"a{i}: __typename" for i in range(10_000)) + " }",
    "3,000 directives": "{ me { name " + "@include(if: true) " * 3_000 + "} }",
    "900 directives": "{ me { name " + "@skip(if: false)" * 570 + "} }",
    "50 x 40 overlapping fragments": overlapping_aliases(50, 40),
    "50 x 40 overlapping fields": overlapping(50, 40),
    "40 x 20 overlapping fields": overlapping(40, 20),
    "overlapping objects": "{ me { " + "units { id } " * 480 + "} }",
    "300 fragments": "{ me { "
    + " ".join(f"...F{i}" for i in range(300))
    + " } }"
    + " ".join(f" fragment F{i} on Me {{ name }}" for i in range(300)),
    "many operations": " ".join(f"query Q{i} {{ me {{ name }} }}" for i in range(400)),
    "first: 2147483647": "{ customers(first: 2147483647) { nodes { interactions(first: 2147483647) { nodes { id } } } } }",
    "introspection twenty times": "{ "
    + " ".join(
        f"a{i}: __schema {{ types {{ fields {{ args {{ name type {{ name }} }} }} }} }}" for i in range(20)
    )
    + " }",
    "introspection wide": "{ __schema { "
    + " ".join(
        f"a{i}: types {{ fields {{ args {{ name }} type {{ ofType {{ name }} }} }} }}" for i in range(90)
    )
    + " } }",
    "a huge number": "{ customers(first: " + "9" * 60_000 + ") { totalCount } }",
    "a huge fraction": "{ customers(first: 1." + "9" * 60_000 + ") { totalCount } }",
    "unicode escapes": '{ customers(search: "' + "\\uD83D" * 10_000 + '") { totalCount } }',
    "braced escapes": '{ customers(search: "' + "\\u{10FFFF0000}" * 4_000 + '") { totalCount } }',
    "unknown names": "{ me { " + " ".join(f"nam{i}" for i in range(1_900)) + " } }",
    "long names": "{ " + "a" * 60_000 + " }",
    "unknown arguments": "{ customers("
    + " ".join(f"firs{i}: 1" for i in range(1_200))
    + ") { totalCount } }",
    "unknown values": "{ customers(where: { OR: [" + "{ nam: { eq: 1 } }" * 500 + "] }) { totalCount } }",
    "unused variables": "query (" + " ".join(f"$v{i}: Int" for i in range(900)) + ") { me { name } }",
    "nested lists": "{ nodes(ids: " + "[" * 1_500 + "]" * 1_500 + ") { id } }",
}
"""Each is refused before anything of it runs."""


def nested(levels: int) -> Any:
    found: Any = {}
    for _ in range(levels):
        found = {"NOT": found}
    return found


WHERE = "query ($w: CustomerWhere) { customers(where: $w) { totalCount } }"
BODIES: dict[str, Any] = {
    "variables: a million values": {"query": WHERE, "variables": {"w": {"OR": [0] * 500_000}}},
    "variables: 100 deep": {"query": WHERE, "variables": {"w": nested(100)}},
    "variables: wrong ones": {"query": WHERE, "variables": {"w": {"OR": [{"bad": i} for i in range(9_000)]}}},
    "variables: a long list": {
        "query": "query ($i: [UUID!]) { customers(where: { id: { in: $i } }) { totalCount } }",
        "variables": {"i": ["x"] * 19_000},
    },
    "variables: a long text": {
        "query": "query ($s: String) { customers(search: $s) { totalCount } }",
        "variables": {"s": "x" * 1_000_000},
    },
    "variables: many rows within rows": {"query": INNER, "variables": {"n": 2**31 - 1}},
    "a megabyte of comments": {"query": "{ me { name } }" + "#" * 1_040_000},
    "block strings": {"query": '{ customers(search: """' + "\\n " * 30_000 + '""") { totalCount } }'},
    "brackets": b'{"query": "{ me { name } }", "variables": ' + b"[" * 1_000_000,
    "objects": b'{"query": "{ me { name } }", "x": [' + b"{}," * 300_000 + b"{}]}",
    "a number of a megabyte": b'{"query": "{ me { name } }", "variables": {"n": ' + b"9" * 1_000_000 + b"}}",
}
"""Whole bodies, refused or answered with what they ask for at the cost of reading them."""

LARGE: dict[str, Any] = {
    "the whole schema": {"query": get_introspection_query(descriptions=True, input_value_deprecation=True)},
    "250 customers": {
        "query": "{ customers(first: 250) { nodes { id name notes tags phones { key typed } homeUnit { name } contested { path } } } }"
    },
    "250 x 38 interactions": {
        "query": "{ customers(first: 250) { nodes { id name interactions(first: 38) { nodes { id at kind note } } } } }"
    },
    "50 customers, their visits, who came": {
        "query": "{ customers { edges { node { interactions { edges { node { party { customer { homeUnit { parent { name } } } } } } } } } } }"
    },
    "twenty pages": {
        "query": "{ "
        + " ".join(f"a{i}: customers(first: 250) {{ nodes {{ id name tags }} }}" for i in range(20))
        + " }"
    },
    "20 counts and searches": {
        "query": "{ "
        + " ".join(
            f'a{i}: customers(first: 9, search: "{i}") {{ totalCount nodes {{ id }} }}' for i in range(20)
        )
        + " }"
    },
}
"""As large as the limits allow; they are answered."""


def body_of(given: Any) -> bytes:
    return given if isinstance(given, bytes) else orjson.dumps(given)
