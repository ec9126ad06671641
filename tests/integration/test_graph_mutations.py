# ruff: noqa: E501 (queries)
"""What is promised of every mutation, held over the whole type: a new one without a case fails.

Each is refused while the disk is busy, done once, answered with the same bytes whenever it is sent again, and
refused when its key is used for something else. Where it writes a row that is there, an outdated version
conflicts. Whoever may not is told so in either language, and nothing is written.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from graphql import GraphQLObjectType, GraphQLUnionType, get_named_type, is_leaf_type

from regulars_schema.messages import MESSAGES
from regulars_server.access.models import Database
from regulars_server.graph.schema import build_schema
from regulars_server.storage.sqlite import SqliteStorage
from regulars_sync.errors import Refused
from regulars_sync.ids import made_id
from tests.support.chain import NOON_MS, Chain, new_chain, open_chain
from tests.support.graph import Graph, Tablet, caller, http

NOBODY = "01a20038-0101-7724-a4c3-597164c48aff"
STALE = f"{'0' * 16}.1"
MUTATIONS = cast(GraphQLObjectType, build_schema()._schema.mutation_type)

Ids = dict[str, str]


@dataclass(frozen=True)
class Case:
    """How one mutation is asked. `{names}` stand for what `world` made."""

    args: str
    other: str
    """Other content, which is refused under the same key."""
    missing: str | None = None
    """What names something that is not there; None: it names nothing."""
    by: str = "office"
    """Who asks: a program of head office, or a `person` there."""
    refused: str = "analyst"
    """Who may not."""


LIN = 'id: "{lin}"'
PAIR = 'input: {{ one: "{lin}", other: "{wang}"'
NO_PAIR = f'input: {{{{ one: "{{lin}}", other: "{NOBODY}"'
SALE = 'input: {{ kind: VISIT, at: "2026-11-20T10:00:00Z", party: [{{ customerId: "{lin}" }}]'

OF_LIN = 'input: {{ customerId: "{lin}", '
OF_NOBODY = f'input: {{{{ customerId: "{NOBODY}", '

CASES: dict[str, Case] = {
    "assignmentSet": Case(
        OF_LIN + 'scheme: "attention", value: "key", reason: "x" }}',
        OF_LIN + 'scheme: "attention", value: "key", reason: "y" }}',
        OF_NOBODY + 'scheme: "attention", value: "key" }}',
    ),
    "assignmentClear": Case(
        OF_LIN + 'scheme: "attention" }}', OF_LIN + 'scheme: "tier" }}', OF_NOBODY + 'scheme: "tier" }}'
    ),
    "consentRecord": Case(
        OF_LIN + "purpose: MARKETING, granted: true }}",
        OF_LIN + "purpose: MARKETING, granted: false }}",
        OF_NOBODY + "purpose: MARKETING, granted: true }}",
    ),
    "customValueSet": Case(
        OF_LIN + 'field: "shoe_size", value: 38 }}',
        OF_LIN + 'field: "shoe_size", value: 39 }}',
        OF_LIN + 'field: "hat_size", value: 38 }}',
    ),
    "fieldDefSave": Case(
        'input: {{ key: "shoe_size", label: {{ zh: "鞋号", en: "Size" }}, type: INTEGER, rule: MAX }}',
        'input: {{ key: "shoe_size", label: {{ zh: "鞋", en: "Size" }}, type: INTEGER, rule: MAX }}',
    ),
    "schemeSave": Case(
        'key: "tier", changes: {{ label: {{ en: "Grade" }} }}',
        'key: "tier", changes: {{ label: {{ en: "Rank" }} }}',
    ),
    "schemeReset": Case('key: "quality"', 'key: "tier"', 'key: "funnel"'),
    "supplierSet": Case(
        OF_LIN + 'name: "Oak & Co", satisfaction: 2 }}',
        OF_LIN + 'name: "Oak & Co", satisfaction: 3 }}',
        OF_NOBODY + 'name: "Oak & Co" }}',
    ),
    "taskSave": Case(
        OF_LIN + 'plan: "call", subject: "oak", note: "x" }}',
        OF_LIN + 'plan: "call", subject: "oak", note: "y" }}',
        OF_NOBODY + 'plan: "call", subject: "oak" }}',
    ),
    "taskDone": Case(
        'input: {{ id: "{task}" }}',
        'input: {{ id: "{task}", status: SKIPPED }}',
        f'input: {{{{ id: "{NOBODY}" }}}}',
    ),
    "valueVerify": Case(
        OF_LIN + 'path: "notes", isTrue: true }}',
        OF_LIN + 'path: "notes", isTrue: false }}',
        OF_NOBODY + 'path: "notes", isTrue: true }}',
    ),
    "customerCreate": Case(
        'input: {{ name: "陈静" }}',
        'input: {{ name: "陈" }}',
        f'input: {{{{ name: "a", ownerId: "{NOBODY}" }}}}',
    ),
    "customerUpdate": Case(
        LIN + ', set: {{ notes: "oak" }}',
        LIN + ', set: {{ notes: "elm" }}',
        f'id: "{NOBODY}", set: {{{{ notes: "oak" }}}}',
    ),
    "customerArchive": Case(LIN, 'id: "{wang}"', f'id: "{NOBODY}"'),
    "customerReturn": Case(LIN, 'id: "{wang}"', f'id: "{NOBODY}"'),
    "customerTag": Case(LIN + ', tags: ["oak"]', LIN + ', tags: ["elm"]', f'id: "{NOBODY}", tags: ["oak"]'),
    "customerUntag": Case(LIN + ', tags: ["vip"]', LIN + ', tags: ["elm"]', f'id: "{NOBODY}", tags: ["a"]'),
    "customerErase": Case(
        LIN + ', reason: "asked"', 'id: "{wang}", reason: "asked"', f'id: "{NOBODY}", reason: "asked"'
    ),
    "customerLookup": Case(
        'input: {{ field: PHONE, key: "138 0013 8000" }}',
        'input: {{ field: PHONE, key: "139 0013 9000" }}',
        'input: {{ field: PHONE, key: "137 0013 7000" }}',
    ),
    "customerUnmerge": Case(
        'input: {{ id: "{lin}" }}', 'input: {{ id: "{wang}" }}', f'input: {{{{ id: "{NOBODY}" }}}}'
    ),
    "customersCreate": Case('inputs: [{{ name: "陈静" }}, {{ name: "何" }}]', 'inputs: [{{ name: "陈静" }}]'),
    "customersAssign": Case(
        OF_LIN.replace("input: ", "inputs: [") + 'scheme: "attention", value: "key" }}]',
        OF_LIN.replace("input: ", "inputs: [") + 'scheme: "attention", value: "ordinary" }}]',
    ),
    "customersUpdate": Case(
        'updates: [{{ id: "{lin}", set: {{ notes: "oak" }} }}, {{ id: "{wang}", set: {{ notes: "elm" }} }}]',
        'updates: [{{ id: "{lin}", set: {{ notes: "oak" }} }}]',
    ),
    "customersArchive": Case('ids: ["{lin}", "{wang}"]', 'ids: ["{lin}"]'),
    "customersReturn": Case('ids: ["{lin}", "{wang}"]', 'ids: ["{lin}"]'),
    "customersTag": Case(
        'ids: ["{lin}", "{wang}"], tags: ["oak"]', 'ids: ["{lin}", "{wang}"], tags: ["elm"]'
    ),
    "customersUntag": Case('ids: ["{lin}", "{wang}"], tags: ["vip"]', 'ids: ["{lin}"], tags: ["vip"]'),
    "exportStart": Case(
        'input: {{ query: "{{ units {{ nodes {{ name }} }} }}" }}',
        'input: {{ query: "{{ staff {{ nodes {{ name }} }} }}" }}',
        refused="tablet",
    ),
    "exportCancel": Case('id: "{export}"', 'id: "{export2}"', f'id: "{NOBODY}"', refused="tablet"),
    "importStart": Case(
        'input: {{ uploadId: "{upload}", entity: PRODUCT, source: "pos" }}',
        'input: {{ uploadId: "{upload}", entity: PRODUCT, source: "pos", dryRun: true }}',
        f'input: {{{{ uploadId: "{NOBODY}", entity: PRODUCT, source: "pos" }}}}',
    ),
    "importCancel": Case('id: "{import}"', 'id: "{import2}"', f'id: "{NOBODY}"'),
    "linkSet": Case(
        'fromCustomerId: "{lin}", toCustomerId: "{wang}", kind: FAMILY, note: "aunt"',
        'fromCustomerId: "{lin}", toCustomerId: "{wang}", kind: FAMILY, note: "niece"',
        f'fromCustomerId: "{{lin}}", toCustomerId: "{NOBODY}", kind: FAMILY',
    ),
    "interactionRecord": Case(
        SALE + " }}",
        SALE + ', note: "x" }}',
        f'input: {{{{ kind: VISIT, at: "2026-11-20T10:00:00Z", party: [{{{{ customerId: "{NOBODY}" }}}}] }}}}',
    ),
    "interactionsRecord": Case(
        SALE.replace("input: ", "inputs: [") + " }}]",
        SALE.replace("input: ", "inputs: [") + ', note: "x" }}]',
    ),
    "interactionCorrect": Case(
        'id: "{visit}", set: {{ note: "x" }}',
        'id: "{visit}", set: {{ note: "y" }}',
        f'id: "{NOBODY}", set: {{{{ note: "x" }}}}',
    ),
    "interactionVoid": Case('id: "{visit}"', 'id: "{visit}", note: "twice"', f'id: "{NOBODY}"'),
    "segmentSave": Case(
        'id: "{segment}", input: {{ name: "Elm" }}',
        'id: "{segment}", input: {{ name: "Ash" }}',
        f'id: "{NOBODY}", input: {{{{ name: "Elm" }}}}',
    ),
    "segmentSnapshot": Case(
        'id: "{segment}", name: "Oak, autumn"',
        'id: "{segment}", name: "Oak, winter"',
        f'id: "{NOBODY}", name: "Elm"',
    ),
    "segmentMembersAdd": Case(
        'segment: "{segment}", customers: ["{lin}"]',
        'segment: "{segment}", customers: ["{wang}"]',
        f'segment: "{NOBODY}", customers: ["{{lin}}"]',
    ),
    "segmentMembersRemove": Case(
        'segment: "{segment}", customers: ["{lin}"]',
        'segment: "{segment}", customers: ["{wang}"]',
        f'segment: "{NOBODY}", customers: ["{{lin}}"]',
    ),
    "segmentMembersExclude": Case(
        'segment: "{segment}", customers: ["{lin}"]',
        'segment: "{segment}", customers: ["{wang}"]',
        f'segment: "{NOBODY}", customers: ["{{lin}}"]',
    ),
    "segmentMembersReadmit": Case(
        'segment: "{segment}", customers: ["{lin}"]',
        'segment: "{segment}", customers: ["{wang}"]',
        f'segment: "{NOBODY}", customers: ["{{lin}}"]',
    ),
    "unitSave": Case(
        'id: "{unit}", input: {{ name: "North" }}',
        'id: "{unit}", input: {{ name: "South" }}',
        f'id: "{NOBODY}", input: {{{{ name: "North" }}}}',
    ),
    "staffSave": Case(
        'id: "{staff}", input: {{ name: "Li" }}',
        'id: "{staff}", input: {{ name: "Yu" }}',
        f'id: "{NOBODY}", input: {{{{ name: "Li" }}}}',
    ),
    "productSave": Case(
        'id: "{product}", input: {{ name: "Bed" }}',
        'id: "{product}", input: {{ name: "Cot" }}',
        f'id: "{NOBODY}", input: {{{{ name: "Bed" }}}}',
    ),
    "changeReverse": Case(
        'input: {{ cid: "{noted}" }}',
        'input: {{ cid: "{noted}", path: "notes" }}',
        f'input: {{{{ cid: "{"0" * 32}" }}}}',
    ),
    "fieldChoose": Case(
        'input: {{ entity: CUSTOMER, id: "{lin}", path: "name", cid: "{beside}" }}',
        'input: {{ entity: CUSTOMER, id: "{lin}", path: "name", cid: "{shown}" }}',
        f'input: {{{{ entity: CUSTOMER, id: "{NOBODY}", path: "name", cid: "{{beside}}" }}}}',
    ),
    "heldRetry": Case('cid: "{held}"', 'cid: "{rejected}"', f'cid: "{"0" * 32}"'),
    "heldMend": Case(
        'cid: "{rejected}", set: {{ gender: "male" }}',
        'cid: "{rejected}", set: {{ gender: "other" }}',
        f'cid: "{"0" * 32}", set: {{{{ gender: "male" }}}}',
    ),
    "heldDrop": Case('cid: "{rejected}"', 'cid: "{held}"', f'cid: "{"0" * 32}"'),
    "deviceInvite": Case(
        'unit: "{unit}", name: "till"', 'unit: "{unit}", name: "desk"', f'unit: "{NOBODY}", name: "till"'
    ),
    "deviceRevoke": Case('id: "{device}"', 'id: "{device2}"', f'id: "{NOBODY}"'),
    "deviceWipe": Case('id: "{device}"', 'id: "{device2}"', f'id: "{NOBODY}"'),
    "deviceMove": Case(
        'id: "{device}", unit: "{orchard}"',
        'id: "{device}", unit: "{unit}"',
        f'id: "{{device}}", unit: "{NOBODY}"',
    ),
    "identityPropose": Case(PAIR + " }}", 'input: {{ one: "{lin}", other: "{tan}" }}', NO_PAIR + " }}"),
    "identityDecide": Case(
        PAIR + ", decision: SAME }}", PAIR + ", decision: HOUSEHOLD }}", NO_PAIR + ", decision: SAME }}"
    ),
    "identityScan": Case("", ""),
    "tokenCreate": Case(
        'input: {{ label: "till", role: CLERK }}', 'input: {{ label: "till", role: MANAGER }}', by="person"
    ),
    "tokenRotate": Case('id: "{token}"', 'id: "{token}", graceHours: 1', f'id: "{NOBODY}"', by="person"),
    "tokenExpire": Case(
        'id: "{token}", at: "2027-01-01T00:00:00Z"',
        'id: "{token}", at: "2027-01-02T00:00:00Z"',
        f'id: "{NOBODY}", at: "2027-01-01T00:00:00Z"',
        by="person",
    ),
    "tokenRevoke": Case('id: "{token}"', 'id: "{token2}"', f'id: "{NOBODY}"', by="person"),
}


def selection(name: str) -> str:
    """Every leaf of every type that the mutation may answer, and id and version of rows."""
    union: Any = get_named_type(MUTATIONS.fields[name].type)
    assert isinstance(union, GraphQLUnionType), f"{name} answers no union"
    assert "Refusal" in {member.name for member in union.types}, name
    return f"__typename {' '.join(f'... on {m.name} {{ {_leaves(m)} }}' for m in union.types)}"


def _leaves(type_: Any, depth: int = 0) -> str:
    if isinstance(type_, GraphQLUnionType):
        return f"__typename {' '.join(f'... on {m.name} {{ {_leaves(m, depth)} }}' for m in type_.types)}"
    found = ["__typename"]
    for name, field_ in type_.fields.items():
        inner = get_named_type(field_.type)
        if field_.args:
            continue
        if is_leaf_type(inner):
            found.append(name)
        elif depth < 2 and name not in ("contested", "golden"):
            found.append(f"{name} {{ {_leaves(inner, depth + 1)} }}")
    return " ".join(found)


@dataclass
class World:
    chain: Chain
    office: Graph
    ids: Ids
    tokens: dict[str, str] = field(default_factory=dict)

    async def raw(self, name: str, args: str, key: str, lang: str = "en", by: str = "office") -> bytes:
        given = f'(idempotencyKey: "{key}"{", " if args else ""}{args})'
        graph = Graph(self.chain, self.tokens[by], self.office.http)
        await graph.send(
            f"mutation {{ done: {name}{given} {{ {selection(name)} }} }}", {"accept-language": lang}
        )
        assert graph.last is not None
        answer = graph.last.content
        return answer[: answer.rindex(b',"extensions":{"cost"')] + b"}"  # what it cost is of this request

    async def ask(self, name: str, args: str, key: str, lang: str = "en", by: str = "office") -> Any:
        answer = msgspec.json.decode(await self.raw(name, args, key, lang, by))
        assert "errors" not in answer, answer
        return answer["data"]["done"]

    async def seq(self) -> int:
        async with self.chain.service.storage.unscoped_reader() as reader:
            return (await reader.head()).seq


SAVE = 'mutation {{ done: {}Save(idempotencyKey: "{}", input: {{ {} }}) {{ ... on {}Saved {{ {} {{ id }} }} }} }}'


async def fill(chain: Chain) -> tuple[Ids, dict[str, str]]:
    """A world in which every mutation has something to do."""
    office = await caller(chain, "admin", sensitive=True)
    tokens = {"office": office.token}
    for name, role in (("second", "admin"), ("analyst", "analyst")):
        tokens[name] = (await caller(chain, role)).token
    access = chain.service.access
    await access.add_login("amy", "correct horse", "admin", sensitive=True)
    for name in ("person", "second person"):
        tokens[name] = (await access.login("amy", "correct horse"))[1]
    ids = {"unit": chain.units["Nanjing Road"], "orchard": chain.units["Orchard"]}
    for name in ("token", "token2"):
        ids[name], _ = await access.new_token("developer", name, "clerk", None, False)
    home = {"homeUnitId": ids["unit"]}
    ids["lin"] = await office.customer("林芳", phones=["138 0013 8000"], tags=["vip"], **home)
    ids["wang"] = await office.customer("王明", phones=["139 0013 9000"], **home)
    ids["tan"] = await office.customer("陈", homeUnitId=ids["orchard"])
    ids["visit"] = await office.visit(ids["lin"], unitId=ids["unit"])
    for name, input in (
        ("segment", 'name: "Oak"'),
        ("staff", 'name: "Mei", role: CLERK'),
        ("product", 'name: "Sofa"'),
    ):
        saved = await office.ask(SAVE.format(name, name, input, name.capitalize(), name))
        ids[name] = saved["done"][name]["id"]
    await office.ask(
        'mutation ($a: UUID!, $b: UUID!) { linkSet(idempotencyKey: "link", fromCustomerId: $a, toCustomerId: $b, kind: FAMILY) { ... on LinkSaved { link { id } } } }',
        a=ids["lin"],
        b=ids["wang"],
    )
    await office.ask(
        'mutation ($id: UUID!) { customerUpdate(idempotencyKey: "note", id: $id, set: { notes: "first" }) { ... on Error { code } } }',
        id=ids["lin"],
    )
    known = {
        "assignmentSet": 'input: { customerId: "%s", scheme: "attention", value: "ordinary" }',
        "taskSave": 'input: { customerId: "%s", plan: "call", subject: "oak" }',
        "supplierSet": 'input: { customerId: "%s", name: "Oak & Co" }',
        "fieldDefSave": 'input: { key: "shoe_size", label: { zh: "鞋码", en: "Size" }, type: INTEGER, rule: MAX }',
        "customValueSet": 'input: { customerId: "%s", field: "shoe_size", value: 37 }',
        "schemeSave": 'key: "quality", changes: { label: { en: "Worth" } }',
    }
    for name, args in known.items():
        given = args % ids["lin"] if "%s" in args else args
        saved = await office.ask(
            f'mutation {{ done: {name}(idempotencyKey: "{name}", {given}) {{ __typename ... on Error {{ code path }} }} }}'
        )
        assert saved["done"]["__typename"].endswith("Saved"), saved
    ids["task"] = made_id("task", "call", ids["lin"], "oak")
    tablet = await Tablet(chain, office).pair("Nanjing Road")
    ids["device"] = tablet.device
    tokens["tablet"] = tablet.token
    for name in ("export", "export2"):
        started = await office.ask(
            f'mutation {{ done: exportStart(idempotencyKey: "{name}", input: {{ query: "{{ units {{ nodes {{ id }} }} }}" }}) {{ ... on ExportSaved {{ export {{ id }} }} }} }}'
        )
        ids[name] = started["done"]["export"]["id"]
    csv = b"external_id,name\nP-1,Sofa\n"
    sent = await office.http.post(
        "/works/uploads", content=csv, headers={"authorization": f"Bearer {office.token}"}
    )
    ids["upload"] = sent.json()["id"]
    for name in ("import", "import2"):
        input = f'{{ uploadId: "{ids["upload"]}", entity: PRODUCT, source: "pos" }}'
        started = await office.ask(
            f'mutation {{ done: importStart(idempotencyKey: "{name}", input: {input}) {{ ... on ImportSaved {{ import {{ id }} }} }} }}'
        )
        ids[name] = started["done"]["import"]["id"]
    ids["device2"] = (await Tablet(chain, office).pair("Nanjing Road")).device
    beside = msgspec.structs.replace(
        tablet.change({"name": "林方"}, "b" * 32), op="edit", id=ids["lin"], entity="customer"
    )
    far = msgspec.structs.replace(tablet.change({"notes": "x"}, "c" * 32), op="edit", id=chain.new_id())
    bad = tablet.change({"name": "王", "gender": "seven"}, "d" * 32)
    assert await tablet.push(beside, far, bad) == ["merged", "held", "rejected"]
    ids |= {"beside": "b" * 32, "held": "c" * 32, "rejected": "d" * 32}
    async with chain.service.storage.unscoped_reader() as reader:
        story = await reader.history("customer", ids["lin"])
    ids["shown"], ids["noted"] = story[0].cid, story[1].cid
    return ids, tokens


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ids, dict[str, str]]:
    """The world once, closed: each case works on a copy of its folder."""
    folder = tmp_path_factory.mktemp("made")

    async def make() -> tuple[Ids, dict[str, str]]:
        async with new_chain(folder) as chain:
            return await fill(chain)

    return folder, *asyncio.run(make())


@asynccontextmanager
async def opened(folder: Path, ids: Ids, tokens: dict[str, str], start: int) -> AsyncIterator[World]:
    async with open_chain(folder, seed=start + 7, now_ms=NOON_MS + start * 600_000) as chain:
        yield World(chain, Graph(chain, tokens["office"], http(chain)), ids, tokens)


def test_every_mutation_has_a_case() -> None:
    assert set(CASES) == set(MUTATIONS.fields)
    for name, field_ in MUTATIONS.fields.items():
        assert "idempotencyKey" in field_.args, name


@pytest.mark.parametrize("name", list(MUTATIONS.fields))
async def test_a_mutation_keeps_what_every_mutation_promises(
    made: tuple[Path, Ids, dict[str, str]], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    folder = tmp_path / "chain"
    shutil.copytree(made[0], folder)
    ids, by = made[1], case.by
    args, other = case.args.format(**ids), case.other.format(**ids)
    async with opened(folder, ids, made[2], 1) as world:
        await _is_refused(world, name, args, case.refused)
        if case.missing is not None:
            gone = await world.ask(name, case.missing.format(**ids), "missing", by=by)
            assert (gone["__typename"], gone["code"]) == ("Refusal", "not_found")
        at = await world.seq()  # a look-up that finds nobody is logged
        with monkeypatch.context() as patched:
            patched.setattr(SqliteStorage, "writer", _busy)
            patched.setattr(Database, "writer", _busy)
            busy = await world.ask(name, args, "key", by=by)
            assert (busy["code"], busy["retryable"]) == ("busy", True)
        if "expectedVersion" in MUTATIONS.fields[name].args and name != "identityDecide":
            await _conflicts(
                world, name, args
            )  # of a pair nothing stands yet: test_expected_versions has one
        assert await world.seq() == at

        first = await world.raw(name, args, "key", by=by)
        done = msgspec.json.decode(first)["data"]["done"]
        assert done["__typename"] not in ("Refusal", "VersionConflict"), done
        after = await world.seq()
        assert await world.raw(name, args, "key", by=by) == first
        assert await world.seq() == after
        if name != "customerErase":
            await world.ask("customerUpdate", f'id: "{ids["lin"]}", set: {{ notes: "later" }}', "later")
    async with opened(folder, ids, made[2], 2) as world:
        after = await world.seq()
        assert await world.raw(name, args, "key", by=by) == first
        assert await world.seq() == after
        if other != args:
            for lang, words in (("en", "idempotency key"), ("zh", "幂等键")):
                reused = await world.ask(name, other, "key", lang, by)
                assert (reused["__typename"], reused["code"]) == ("Refusal", "idempotency_reused")
                assert words in reused["message"]
        assert await world.seq() == after
        theirs = await world.ask(name, args, "key", by="second" if by == "office" else "second person")
        assert theirs.get("code") != "idempotency_reused"


async def _is_refused(world: World, name: str, args: str, by: str) -> None:
    en = await world.ask(name, args, "key", by=by)
    zh = await world.ask(name, args, "key", "zh", by=by)
    assert (en["__typename"], en["code"], zh["code"]) == ("Refusal", "not_allowed", "not_allowed")
    assert (en["message"], zh["message"]) == (MESSAGES["not_allowed"].en, MESSAGES["not_allowed"].zh)


async def _conflicts(world: World, name: str, args: str) -> None:
    stale = await world.ask(name, f'{args}, expectedVersion: "{STALE}"', "stale")
    assert (stale["__typename"], stale["code"]) == ("VersionConflict", "version_conflict")
    present = stale["present"]
    assert present["version"] != STALE
    node = f'{{ node(id: "{present["id"]}") {{ version }} }}'
    assert (await world.office.ask(node))["node"]["version"] == present["version"]


class _busy:  # noqa: N801 (it stands for a method)
    def __init__(self, *_: Any) -> None:
        pass

    async def __aenter__(self) -> None:
        raise Refused("busy", seconds=1)

    async def __aexit__(self, *_: object) -> None:
        pass
