# ruff: noqa: E501 (queries)
"""Tokens of programs: what they may do, what they never may, and what is known of them afterwards."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from regulars_server.access.rights import OF_PEOPLE, READ, RIGHTS, ROOTS, WRITE
from regulars_server.app import DATABASE
from regulars_server.graph.schema import build_schema
from tests.support.chain import Chain, new_chain
from tests.support.documents import call, roots
from tests.support.graph import Graph, http

CREATE = """mutation ($key: String!, $input: TokenInput!) { done: tokenCreate(idempotencyKey: $key, input: $input) {
    __typename ... on TokenIssued { secret token { id label role scopes maker sensitive trustedOnly wholeChain units { name } expiresAt revokedAt lastUsedAt } }
    ... on Error { code path message detail } } }"""
REVOKE = "mutation ($id: UUID!, $key: String!) { done: tokenRevoke(idempotencyKey: $key, id: $id) { __typename ... on TokenChanged { token { revokedAt } } ... on Error { code path message detail } } }"
ROTATE = "mutation ($id: UUID!, $key: String!, $hours: Int!) { done: tokenRotate(idempotencyKey: $key, id: $id, graceHours: $hours) { __typename ... on TokenIssued { secret } ... on Error { code path message detail } } }"
EXPIRE = "mutation ($id: UUID!, $key: String!, $at: DateTime!) { done: tokenExpire(idempotencyKey: $key, id: $id, at: $at) { __typename ... on TokenChanged { token { expiresAt } } ... on Error { code path message detail } } }"
NAMES = "{ customers { nodes { name } } }"


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as chain:
        yield chain


async def person(
    chain: Chain, role: str = "admin", unit: str | None = None, sensitive: bool = False, name: str = ""
) -> Graph:
    """Somebody who signed in."""
    name = name or f"{role} of {unit}"
    units = None if unit is None else [chain.units[unit]]
    await chain.service.access.add_login(name, "correct horse", role, units=units, sensitive=sensitive)
    return await signed_in(chain, name)


async def signed_in(chain: Chain, name: str) -> Graph:
    _, token = await chain.service.access.login(name, "correct horse")
    return Graph(chain, token, http(chain))


async def create(by: Graph, role: str = "ADMIN", **input: Any) -> dict[str, Any]:
    done: dict[str, Any] = await by.ask(
        CREATE, key=by.key(), input={"label": "nightly", "role": role, **input}
    )
    return dict(done["done"])


async def program(by: Graph, role: str = "ADMIN", **input: Any) -> tuple[str, Graph]:
    """The id of a new token, and whoever uses it."""
    done = await create(by, role, **input)
    assert done["__typename"] == "TokenIssued", done
    return done["token"]["id"], Graph(by.chain, done["secret"], http(by.chain))


async def names(graph: Graph) -> set[str]:
    return {node["name"] for node in (await graph.ask(NAMES))["customers"]["nodes"]}


# --- what a token may do ---------------------------------------------------------------------------


async def test_a_token_has_exactly_its_scopes_of_its_role(chain: Chain):
    """Every scope alone opens its own roots and no other; asked for every root."""
    office = await person(chain)
    schema = build_schema()._schema
    for scope in sorted(RIGHTS.keys() - OF_PEOPLE):
        _, token = await program(office, scopes=[scope])
        for operation, name, field in roots(schema):
            root = f"{operation.capitalize()}.{name}"
            if operation == "subscription" or ROOTS[root] in ("", scope) or ROOTS[root].startswith("read:"):
                continue
            answer = await token.send(call(operation, name, field))
            said = answer["errors"][0]["extensions"] if "errors" in answer else answer["data"]["done"]
            expected = "not_allowed" if ROOTS[root] in OF_PEOPLE else "scope_missing"
            assert said["code"] == expected, (scope, root, answer)


@pytest.mark.parametrize("scope", sorted(READ.values()))
async def test_a_token_that_reads_one_kind_reads_no_other_by_any_road(chain: Chain, scope: str):
    office = await person(chain)
    lin = await office.customer("林芳")
    visit = await office.visit(lin, note="words of a visit")
    _, token = await program(office, scopes=[scope])
    for entity, right in READ.items():
        plural = right.removeprefix("read:")
        if f"Query.{plural}" in ROOTS:
            asked = "key" if plural == "schemes" else "totalCount nodes { id }"
            answer = await token.send(f"{{ {plural} {{ {asked} }} }}")
            assert ("errors" in answer) is (right != scope), (entity, answer)
    by_id = "query ($a: ID!, $b: ID!) { a: node(id: $a) { id } b: node(id: $b) { id } }"
    found = await token.ask(by_id, a=lin, b=visit)
    assert (found["a"] is not None) is (scope == "read:customers")
    assert (found["b"] is not None) is (scope == "read:interactions")
    for road in (
        f'{{ history(entity: CUSTOMER, id: "{lin}") {{ nodes {{ cid }} }} }}',
        "{ ledger { nodes { cid } } }",
        "{ heldChanges { nodes { cid } } }",
        "{ equalKeys { key } }",
    ):
        code = (await token.send(road)).get("errors", [{}])[0].get("extensions", {}).get("code")
        assert code == ("scope_missing" if "equalKeys" not in road or scope != "read:customers" else None)


async def test_relations_stop_at_what_may_not_be_read(chain: Chain):
    office = await person(chain)
    lin = await office.customer("林芳")
    visit = await office.visit(lin, note="words of a visit")
    _, customers = await program(office, scopes=["read:customers"])
    answer = await customers.send(
        "{ customers { nodes { name homeUnit { name } interactions { nodes { note } } } } }"
    )
    assert answer["errors"][0]["extensions"]["detail"] == {"scope": "read:interactions"}
    assert "words" not in str(answer)
    bare = await customers.ask("{ customers { nodes { name homeUnit { name } } } }")
    assert bare["customers"]["nodes"] == [{"name": "林芳", "homeUnit": None}]
    _, facts = await program(office, scopes=["read:interactions"])
    query = (
        "query ($id: UUID!) { interaction(id: $id) { note customers { name } party { customer { name } } } }"
    )
    seen = (await facts.ask(query, id=visit))["interaction"]
    assert seen == {"note": "words of a visit", "customers": [], "party": [{"customer": None}]}


async def test_the_log_tells_of_changes_only_to_who_may_read_their_rows(chain: Chain):
    office = await person(chain)
    lin = await office.customer("林芳")
    await office.visit(lin, note="words of a visit")
    _, token = await program(office, scopes=["read:changes", "read:products"])
    assert (
        await token.code(f'{{ history(entity: CUSTOMER, id: "{lin}") {{ nodes {{ cid }} }} }}')
        == "scope_missing"
    )
    history = await office.ask(f'{{ history(entity: CUSTOMER, id: "{lin}") {{ nodes {{ cid }} }} }}')
    cid = history["history"]["nodes"][0]["cid"]
    query = "query ($cid: String!) { loggedChange(cid: $cid) { fields { path value } } }"
    assert (await token.ask(query, cid=cid))["loggedChange"] is None
    assert (await office.ask(query, cid=cid))["loggedChange"] is not None
    assert (await token.ask("{ ledger { nodes { cid } } heldChanges { nodes { cid } } }")) == {
        "ledger": {"nodes": []},
        "heldChanges": {"nodes": []},
    }


async def test_a_write_needs_the_right_to_its_kind_by_whatever_mutation(chain: Chain):
    """`write:changes` alone reverses nothing of a customer."""
    office = await person(chain)
    lin = await office.customer("林芳")
    edit = 'mutation ($id: UUID!) { customerUpdate(idempotencyKey: "e", id: $id, set: { notes: "x" }) { __typename } }'
    await office.ask(edit, id=lin)
    history = await office.ask(f'{{ history(entity: CUSTOMER, id: "{lin}") {{ nodes {{ cid }} }} }}')
    cid = history["history"]["nodes"][-1]["cid"]
    reverse = 'mutation ($cid: String!) { done: changeReverse(idempotencyKey: "r", input: { cid: $cid }) { __typename ... on Error { code detail } } }'
    _, token = await program(office, scopes=["write:changes", "read:customers"])
    done = (await token.ask(reverse, cid=cid))["done"]
    assert (done["code"], done["detail"]) == ("scope_missing", {"scope": "write:customers"})
    _, token = await program(office, scopes=["write:changes", "write:customers"])
    assert (await token.ask(reverse, cid=cid))["done"]["__typename"] == "ChangeReversed"
    assert set(WRITE) == set(READ)


async def test_a_token_that_only_writes_is_told_of_nothing(chain: Chain):
    office = await person(chain)
    _, token = await program(office, scopes=["write:customers"])
    done = await token.ask(
        'mutation { customerCreate(idempotencyKey: "a", input: { name: "A" }) { ... on CustomerSaved { customer { id name } } } }'
    )
    assert done["customerCreate"] == {"customer": None}
    assert await names(office) == {"A"}


# --- never more than its maker -----------------------------------------------------------------------


async def test_nobody_makes_a_token_with_more_than_they_have(chain: Chain):
    manager = await person(chain, "manager", "Nanjing Road")
    orchard, nobody = chain.units["Orchard"], "01a20038-0101-7724-a4c3-597164c48aff"
    refused: list[tuple[dict[str, Any], str]] = [
        ({"role": "ADMIN"}, "argument_invalid"),
        ({"sensitive": True}, "argument_invalid"),
        ({"scopes": ["write:units"]}, "argument_invalid"),
        ({"scopes": ["admin:tokens"]}, "argument_invalid"),
        ({"scopes": ["read:everything"]}, "argument_invalid"),
        ({"unitIds": [orchard]}, "not_found"),
        ({"label": "  "}, "argument_invalid"),
    ]
    for beyond, code in refused:
        done = await create(manager, **{"role": "MANAGER", **beyond})
        assert done.get("code") == code, (beyond, done)
    far, none = [await create(manager, "MANAGER", unitIds=[id]) for id in (orchard, nobody)]
    assert far == none
    assert (await manager.ask("{ tokens { id } }"))["tokens"] == []


async def test_a_token_follows_its_maker_down_and_up_again_at_once(chain: Chain):
    office = await person(chain, sensitive=True, name="amy")
    await office.customer("林芳")
    await office.customer("陈", homeUnitId=chain.units["Orchard"])
    _, token = await program(office, sensitive=True)
    me = "{ me { role sensitive headOffice wholeChain units { name } } }"
    access, units = chain.service.access, chain.units
    assert (await token.ask(me))["me"]["headOffice"]
    await access.change_login("amy", "clerk", [units["Orchard"]], False, None)
    assert (await token.ask(me))["me"] == {
        "role": "clerk", "sensitive": False, "headOffice": False, "wholeChain": False, "units": [{"name": "Orchard"}],
    }  # fmt: skip
    assert await names(token) == {"陈"}
    done = await token.ask(
        'mutation { done: unitSave(idempotencyKey: "u", input: { name: "U" }) { ... on Error { code } } }'
    )
    assert done["done"]["code"] == "not_allowed"
    await access.deactivate("amy")
    assert await token.code(NAMES) == "token_invalid"
    await access.activate("amy")
    await access.change_login("amy", "admin", None, True, None)
    assert await names(token) == {"林芳", "陈"}


async def test_a_token_of_some_units_reaches_what_lies_in_its_own_and_its_makers(chain: Chain):
    manager = await person(chain, "manager", "hq", name="amy")
    await manager.customer("林芳", homeUnitId=chain.units["Nanjing Road"])
    await manager.customer("陈", homeUnitId=chain.units["Orchard"])
    _, token = await program(manager, "MANAGER", unitIds=[chain.units["hq"]])
    assert await names(token) == {"林芳", "陈"}
    await chain.service.access.change_login("amy", "manager", [chain.units["Orchard"]], False, None)
    assert await names(token) == {"陈"}
    me = (await token.ask("{ me { wholeChain units { name } } }"))["me"]
    assert me == {"wholeChain": False, "units": [{"name": "Orchard"}]}
    invite = 'mutation ($u: UUID!, $k: String!) { done: deviceInvite(idempotencyKey: $k, unit: $u, name: "till") { __typename } }'
    for unit, answer in (("Orchard", "DeviceInvited"), ("Nanjing Road", "Refusal"), ("hq", "Refusal")):
        done = await token.ask(invite, u=chain.units[unit], k=unit)
        assert done["done"]["__typename"] == answer
    await chain.service.access.change_login("amy", "manager", [], False, None)
    assert await names(token) == set()


async def test_a_program_never_makes_nor_ends_programs(chain: Chain):
    office = await person(chain)
    id, token = await program(office)
    assert (await create(token))["code"] == "not_allowed"
    assert (await token.ask(REVOKE, id=id, key="r"))["done"]["code"] == "not_allowed"
    assert await token.code("{ tokens { id } }") == "not_allowed"


# --- its life ----------------------------------------------------------------------------------------


async def test_a_secret_is_told_once_again_to_the_same_key_and_stored_nowhere(chain: Chain):
    office = await person(chain)
    asked = {"key": "k", "input": {"label": "nightly", "role": "ANALYST", "scopes": ["read:customers"]}}
    first = (await office.ask(CREATE, **asked))["done"]
    again = (await office.ask(CREATE, **asked))["done"]
    assert again["secret"] == first["secret"]
    assert again["token"]["id"] == first["token"]["id"]
    other = await office.ask(CREATE, key="k", input={"label": "other", "role": "ANALYST"})
    assert other["done"]["code"] == "idempotency_reused"
    await chain.service.access.flush()
    with closing(sqlite3.connect(chain.folder / DATABASE)) as database:
        assert first["secret"] not in "\n".join(database.iterdump())
        assert first["secret"][8:50] not in "\n".join(database.iterdump())
    assert len((await office.ask("{ tokens { id } }"))["tokens"]) == 1


async def test_tokens_are_listed_with_their_last_use_to_their_maker_and_to_head_office(chain: Chain):
    office = await person(chain)
    manager = await person(chain, "manager", "Nanjing Road")
    other = await person(chain, "manager", "Orchard")
    id, token = await program(manager, "CLERK", label="till", scopes=["read:customers"])
    await chain.service.access.flush()
    assert (await manager.ask("{ tokens { lastUsedAt } }"))["tokens"] == [{"lastUsedAt": None}]
    await token.ask(NAMES)
    await chain.service.access.flush()
    look = "{ tokens { id label role scopes maker lastUsedAt units { name } } }"
    (seen,) = (await manager.ask(look))["tokens"]
    assert seen["lastUsedAt"] is not None
    assert (seen["label"], seen["role"], seen["scopes"]) == ("till", "CLERK", ["read:customers"])
    assert seen["maker"] == "manager of nanjing road"
    assert (await office.ask(look))["tokens"] == [seen]
    assert (await other.ask(look))["tokens"] == []
    far = (await other.ask(REVOKE, id=id, key="r"))["done"]
    none = (await other.ask(REVOKE, id="01a20038-0101-7724-a4c3-597164c48aff", key="r"))["done"]
    assert far == none
    assert far["code"] == "not_found"
    assert await token.ask(NAMES) is not None


async def test_a_rotated_token_serves_under_both_secrets_for_the_grace(chain: Chain):
    office = await person(chain)
    id, token = await program(office)
    done = (await office.ask(ROTATE, id=id, key="r", hours=1))["done"]
    assert (await office.ask(ROTATE, id=id, key="r", hours=1))["done"] == done
    fresh = Graph(chain, done["secret"], http(chain))
    assert await names(token) == await names(fresh) == set()
    chain.clock.pass_(hours=1)
    assert await token.code(NAMES) == "token_invalid"
    assert await names(fresh) == set()
    at_once = (await office.ask(ROTATE, id=id, key="s", hours=0))["done"]
    assert await fresh.code(NAMES) == "token_invalid"
    assert await names(Graph(chain, at_once["secret"], http(chain))) == set()
    assert (await office.ask(ROTATE, id=id, key="r", hours=1))["done"]["secret"] is None


async def test_a_token_expires_and_is_revoked_at_once(chain: Chain):
    office = await person(chain)
    id, token = await program(office)
    assert await names(token) == set()
    await office.ask(EXPIRE, id=id, key="f", at="2027-01-01T00:00:00Z")
    done = await office.ask(EXPIRE, id=id, key="e", at="2026-01-01T00:00:00Z")
    assert done["done"] == {"__typename": "TokenChanged", "token": {"expiresAt": "2026-01-01T00:00:00.000Z"}}
    assert await token.code(NAMES) == "token_invalid"
    await office.ask(EXPIRE, id=id, key="f", at="2027-01-01T00:00:00Z")  # an earlier word, heard again
    assert await token.code(NAMES) == "token_invalid"
    id, token = await program(office)
    assert await names(token) == set()
    assert (await office.ask(REVOKE, id=id, key="r"))["done"]["token"]["revokedAt"] is not None
    assert (await office.ask(REVOKE, id=id, key="r2"))["done"]["__typename"] == "TokenChanged"
    assert await token.code(NAMES) == "token_invalid"
    assert (await office.ask(ROTATE, id=id, key="x", hours=1))["done"]["code"] == "not_found"


async def test_the_log_says_who_made_and_ended_a_token_and_still_verifies(chain: Chain):
    office = await person(chain, name="amy")
    id, _ = await program(office)
    await office.ask(ROTATE, id=id, key="r", hours=1)
    await office.ask(EXPIRE, id=id, key="e", at="2027-01-01T00:00:00Z")
    await office.ask(REVOKE, id=id, key="v")
    told = await office.ask("query ($id: UUID!) { tokenHistory(id: $id) { did by at cid } }", id=id)
    deeds = [(event["did"], event["by"]) for event in told["tokenHistory"]]
    assert deeds == [
        ("token_made", "amy"),
        ("token_rotated", "amy"),
        ("token_expires", "amy"),
        ("token_revoked", "amy"),
    ]
    cid = told["tokenHistory"][0]["cid"]
    assert (await office.ask("query ($c: String!) { loggedChange(cid: $c) { cid } }", c=cid))[
        "loggedChange"
    ] is None
    manager = await person(chain, "manager", "Nanjing Road")
    assert await manager.code("query ($id: UUID!) { tokenHistory(id: $id) { did } }", id=id) == "not_found"
    assert await chain.service.storage.verify_log() > len(deeds)


# --- people --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deed", ["password", "role", "deactivated"])
async def test_a_new_password_another_role_and_a_deactivation_end_sessions_at_once(chain: Chain, deed: str):
    amy = await person(chain, name="amy")
    assert await names(amy) == set()
    access = chain.service.access
    if deed == "password":
        await access.set_password("amy", "another horse")
    elif deed == "role":
        await access.change_login("amy", "admin", None, True, None)
    else:
        await access.deactivate("amy")
    assert await amy.code(NAMES) == "token_invalid"
