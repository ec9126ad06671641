"""Who may do what, as data: rights, the roles that have them, and what each way into the server asks for.

A **right** is a family of operations on one kind of thing: `read:customers`, `write:interactions`,
`admin:devices`. A **role** is a set of rights; the scopes of a token cut its role's rights down. *Which* rows
a right reaches is not said here: that is `units` and `sensitive`, which storage turns into SQL.

Every root field of the schema has a row in `ROOTS`, every endpoint one in `ENDPOINTS`: a server whose schema
has another one does not start.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from regulars_schema.declare import Entity, Nature
from regulars_schema.entities import REGISTRY
from regulars_sync.errors import LocalError

INNER = frozenset({"staff_pin", "window", "cut_points", "baseline", "change_verdict"})
"""Entities that tablets alone hold; no right reads them."""

_SHOWN = [entity for entity in REGISTRY.entities if entity.name not in INNER]


def _family(verb: str, entities: list[Entity]) -> dict[str, str]:
    said = {"read": "Read {}.", "write": "Write {}."}[verb]
    return {f"{verb}:{entity.plural}": said.format(entity.plural) for entity in entities}


_OPEN = [entity for entity in _SHOWN if entity.nature is not Nature.REFERENCE]
"""What branches write; the rest head office keeps."""
_KEPT = [entity for entity in _SHOWN if entity.nature is Nature.REFERENCE]

RIGHTS: Mapping[str, str] = {
    **_family("read", _SHOWN),
    "read:changes": "Read history, the ledger, and what is held, of rows that may be read.",
    **_family("write", _OPEN),
    "write:changes": "Reverse changes and choose between values, of rows that may be written.",
    **_family("write", _KEPT),
    "write:held": "Try a held change again.",
    "export:rows": "Export what may be read as a file.",
    "import:rows": "Import files, of rows that may be written; the whole chain's alone.",
    "admin:held": "Correct held changes or give them up.",
    "admin:devices": "Let tablets of one's units in, and revoke them.",
    "admin:identities": "Decide who is one person.",
    "admin:customers": "Erase customers.",
    "admin:stance": "Reduce or end the service of a customer.",
    "admin:tokens": "Make tokens for programs, and end them. Of people only, never of a token.",
}
"""Every right, and what it lets one do."""

READ: Mapping[str, str] = {entity.name: f"read:{entity.plural}" for entity in _SHOWN}
WRITE: Mapping[str, str] = {entity.name: f"write:{entity.plural}" for entity in _SHOWN}
"""By entity, what is asked of whoever reads or writes its rows by whatever road."""

FIELDS: Mapping[tuple[str, str], str] = {
    (entity.name, field.name): "admin:stance"
    for entity in REGISTRY.entities
    for field in entity.fields
    if field.managed
}
"""By entity and field, what is asked of whoever writes it besides."""

READS = frozenset(right for right in RIGHTS if right.startswith("read:"))
EXPORT = "export:rows"
IMPORT = "import:rows"
OF_PEOPLE = frozenset({"admin:tokens"})
"""What a program never has."""

_ANALYST = READS | {EXPORT}
_CLERK = _ANALYST | {WRITE[entity.name] for entity in _OPEN} | {"write:changes"}
_MANAGER = _CLERK | {"write:held", "admin:devices", "admin:stance", "admin:tokens"}

ROLES: Mapping[str, frozenset[str]] = {
    "device": READS,
    "analyst": frozenset(_ANALYST),
    "clerk": frozenset(_CLERK),
    "manager": frozenset(_MANAGER),
    "head_office": frozenset(RIGHTS),
}
"""An admin of the whole chain is head office, one of units a manager."""

RANKS = ("analyst", "clerk", "manager", "admin")
"""The roles of people, each with all that the one before has."""

STRANGER = "stranger"
CALLERS = (STRANGER, *ROLES)

ANYBODY = ""
"""Asks for no right beyond a valid token."""

ROOTS: Mapping[str, str] = {
    "Query.me": ANYBODY,
    "Query.labels": ANYBODY,
    "Query.enumLabels": ANYBODY,
    "Query.tokenScopes": ANYBODY,
    "Query.export": ANYBODY,  # one's own
    "Query.exports": ANYBODY,
    "Query.import": IMPORT,
    "Query.imports": IMPORT,
    "Query.node": ANYBODY,  # null for what may not be read
    "Query.nodes": ANYBODY,
    "Query.unit": "read:units",
    "Query.units": "read:units",
    "Query.staffMember": "read:staff",
    "Query.staff": "read:staff",
    "Query.device": "read:devices",
    "Query.devices": "read:devices",
    "Query.product": "read:products",
    "Query.products": "read:products",
    "Query.segment": "read:segments",
    "Query.segments": "read:segments",
    "Query.fieldDef": "read:field_defs",
    "Query.fieldDefs": "read:field_defs",
    "Query.scheme": "read:schemes",
    "Query.schemes": "read:schemes",
    "Query.task": "read:tasks",
    "Query.tasks": "read:tasks",
    "Query.segmentPreview": "read:customers",  # and what rules look at
    "Query.movements": "read:customers",
    "Query.composition": "read:customers",
    "Query.combinedCard": "read:customers",
    "Query.campaign": "read:customers",
    "Query.ruleRead": "read:segments",
    "Query.ruleFilters": "read:segments",
    "Query.ruleTemplates": "read:segments",
    "Query.segmentMembers": "read:customers",
    "Query.customer": "read:customers",
    "Query.customers": "read:customers",
    "Query.customerCard": "read:customers",
    "Query.cardForm": ANYBODY,
    "Query.equalKeys": "read:customers",
    "Query.standingProgress": "read:segments",
    "Query.interaction": "read:interactions",
    "Query.interactions": "read:interactions",
    "Query.identityReviews": "admin:identities",
    "Query.history": "read:changes",
    "Query.loggedChange": "read:changes",
    "Query.ledger": "read:changes",
    "Query.heldChanges": "read:changes",
    "Query.gaps": "read:changes",
    "Query.tokens": "admin:tokens",
    "Query.tokenHistory": "admin:tokens",
    "Mutation.tokenCreate": "admin:tokens",
    "Mutation.tokenRotate": "admin:tokens",
    "Mutation.tokenExpire": "admin:tokens",
    "Mutation.tokenRevoke": "admin:tokens",
    "Subscription.changes": ANYBODY,  # of what may be read
    "Subscription.customerChanged": "read:customers",
    "Subscription.membershipChanged": "read:customers",
    "Subscription.reviewNeeded": "read:changes",
    "Subscription.deviceStatus": "read:devices",
    "Mutation.exportStart": EXPORT,  # what it reads asks for its own rights
    "Mutation.exportCancel": EXPORT,
    "Mutation.importStart": IMPORT,  # what it writes asks for its own right
    "Mutation.importCancel": IMPORT,
    "Mutation.customerCreate": "write:customers",
    "Mutation.customerUpdate": "write:customers",
    "Mutation.customerArchive": "write:customers",
    "Mutation.customerReturn": "write:customers",
    "Mutation.customerTag": "write:customers",
    "Mutation.customerUntag": "write:customers",
    "Mutation.customersCreate": "write:customers",
    "Mutation.customersUpdate": "write:customers",
    "Mutation.customersArchive": "write:customers",
    "Mutation.customersReturn": "write:customers",
    "Mutation.customersTag": "write:customers",
    "Mutation.customersUntag": "write:customers",
    "Mutation.customerLookup": "write:customers",  # who is found comes into the unit
    "Mutation.customerErase": "admin:customers",
    "Mutation.customerUnmerge": "admin:identities",
    "Mutation.linkSet": "write:links",
    "Mutation.valueVerify": "write:customers",
    "Mutation.assignmentSet": "write:assignments",
    "Mutation.assignmentClear": "write:assignments",
    "Mutation.customersAssign": "write:assignments",
    "Mutation.consentRecord": "write:consents",
    "Mutation.taskSave": "write:tasks",
    "Mutation.taskDone": "write:tasks",
    "Mutation.supplierSet": "write:suppliers",
    "Mutation.customValueSet": "write:custom_values",
    "Mutation.fieldDefSave": "write:field_defs",
    "Mutation.schemeSave": "write:schemes",
    "Mutation.schemeReset": "write:schemes",
    "Mutation.interactionRecord": "write:interactions",
    "Mutation.interactionsRecord": "write:interactions",
    "Mutation.interactionCorrect": "write:interactions",
    "Mutation.interactionVoid": "write:interactions",
    "Mutation.segmentMembersAdd": "write:customers",
    "Mutation.segmentMembersRemove": "write:customers",
    "Mutation.segmentMembersExclude": "write:customers",
    "Mutation.segmentMembersReadmit": "write:customers",
    "Mutation.segmentSave": "write:segments",
    "Mutation.segmentSnapshot": "write:segments",  # and write:customers: they carry it
    "Mutation.unitSave": "write:units",
    "Mutation.staffSave": "write:staff",
    "Mutation.productSave": "write:products",
    "Mutation.changeReverse": "write:changes",
    "Mutation.fieldChoose": "write:changes",
    "Mutation.heldRetry": "write:held",
    "Mutation.heldMend": "admin:held",
    "Mutation.heldDrop": "admin:held",
    "Mutation.deviceInvite": "admin:devices",
    "Mutation.deviceRevoke": "admin:devices",
    "Mutation.deviceWipe": "admin:devices",
    "Mutation.deviceMove": "write:devices",
    "Mutation.identityPropose": "write:identities",
    "Mutation.identityDecide": "admin:identities",
    "Mutation.identityScan": "admin:identities",
}
"""What each root field asks for."""

_ALL = frozenset(CALLERS)
_DEVICE = frozenset({"device"})

ENDPOINTS: Mapping[str, frozenset[str]] = {
    "GET /healthz": _ALL,
    "GET /readyz": _ALL,
    "POST /auth/login": _ALL,
    "POST /auth/logout": _ALL - {STRANGER},
    "GET /sync/v1": _ALL,
    "POST /sync/v1/pair": _ALL,  # it shows a code
    "POST /sync/v1/pull": _DEVICE,
    "POST /sync/v1/push": _DEVICE,
    "POST /sync/v1/digest": _DEVICE,
    "POST /sync/v1/lookup": _DEVICE,
    "POST /sync/v1/rotate": _DEVICE,
    "POST /sync/v1/wiped": _DEVICE,
    "GET /sync/v1/live": _DEVICE,
    "GET /sync/v1/snapshot": _DEVICE,
    "GET /works/{id}": _ALL - {STRANGER},
    "GET /cards/{id}.html": _ALL - {STRANGER},
    "GET /cards/{id}.pdf": _ALL - {STRANGER},
    "POST /works/uploads": frozenset({"head_office"}),
    "POST /graphql": _ALL - {STRANGER},
    "PUT /graphql": _ALL - {STRANGER},
    "DELETE /graphql": _ALL - {STRANGER},
    "WS /graphql": _ALL,  # its first message says who it is
    "GET /graphql": _ALL,  # the page; it asks as whoever signs in there
    "GET /graphql/ide/{name}": _ALL,
}
"""Who may call each endpoint. Everybody else is told 401 without a token and 403 with one."""


def standing(role: str, units: tuple[str, ...] | None) -> str:
    """The row of `ROLES` of a role with this reach."""
    if role != "admin":
        return role
    return "manager" if units is not None else "head_office"


@cache
def rights_of(role: str, scopes: tuple[str, ...] | None, is_program: bool) -> frozenset[str]:
    """The rights of a row of `ROLES`; those of a program less what people alone have, cut to its scopes."""
    found = ROLES[role]
    if is_program:
        found -= OF_PEOPLE
    return found if scopes is None else found.intersection(scopes)


DEVELOPER = "developer"


def callers_of(kind: str, standing: str) -> frozenset[str]:
    """By what names settings call whoever this is: a program is a developer, whatever its role."""
    return frozenset({DEVELOPER if kind == DEVELOPER else standing})


def named_callers(setting: str, text: str) -> frozenset[str]:
    """The callers that a setting names: rows of `ROLES`, `developer`, or `all`. `LocalError`."""
    every = frozenset(ROLES) | {DEVELOPER}
    named = frozenset(filter(None, (part.strip() for part in text.split(","))))
    if not named <= every | {"all"}:
        raise LocalError("setting_invalid", name=setting, value=text[:80])
    return every if "all" in named else named
