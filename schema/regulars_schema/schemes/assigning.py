"""What a person or an import says of a customer in a scheme: where it stands, and whether it may be said.

The scheme chooses the column of an `assignment` row and the column's own rule merges, so no replica needs
the scheme to agree on a value: `values` where a customer has several; `reviewed` where two people's words
must not hide each other; what is sensitive where its level guards it; else `value`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from regulars_schema.declare import JSON, Level, Unfit
from regulars_schema.schemes import Scheme

REVIEWED = frozenset({"tier", "lifecycle", "churn_cause"})
PIN_DAYS = 365
"""How long a pin beats a rule, where neither the person nor the scheme says so (S68)."""
COLUMNS = ("value", "reviewed", "values", "guarded_value", "guarded_values")


def column(of: Scheme) -> str:
    """The field of an `assignment` row in which values of this scheme stand."""
    plain = "values" if of.multi else "value"
    if of.level is Level.SENSITIVE:
        return f"guarded_{plain}"
    return "reviewed" if of.key in REVIEWED and not of.multi else plain


def assigned(
    of: Scheme,
    values: Mapping[str, bool],
    kind: str,
    today: date,
    *,
    reason: str | None = None,
    evidence: str | None = None,
    pinned: bool | None = None,
    since: str | None = None,
    check_by: str | None = None,
    imported: bool = False,
) -> dict[str, JSON]:
    """What a change writes so that a customer of this kind has these values (`{value: present}`); `Unfit`.

    Where a rule decides, a person's word is a pin. It is to be checked again after the days that the scheme
    says, a pin after `PIN_DAYS`. What a file says without a day is so since it came.
    """
    present = [value for value, there in values.items() if there]
    known = [value.key for value in of.values]
    for value in values:
        if value not in known:
            raise Unfit("enum_unknown", field="value", value=value[:80], allowed=known)
    if not of.multi and (len(values) != 1 or not present):
        raise Unfit("scheme_values", field="value", scheme=of.key)
    if kind not in of.for_kind:
        raise Unfit("scheme_kind", field="scheme", scheme=of.key, kind=kind)
    if of.evidence and present and not imported and not (evidence or (reason or "").strip()):
        raise Unfit("evidence_missing", field="evidence", scheme=of.key)
    if pinned is None:
        pinned = of.mode == "rule" and not imported
    days = of.check_days or (PIN_DAYS if pinned else None)
    if check_by is None and days is not None and not imported:
        check_by = (today + timedelta(days=days)).isoformat()
    name = column(of)
    said: dict[str, JSON] = (
        {f"{name}/{value}": there for value, there in values.items()} if of.multi else {name: present[0]}
    )
    if present:
        said |= {"pinned": pinned, "check_by": check_by, "evidence": evidence}
        if since is not None or not imported:
            said["since"] = since or today.isoformat()
        said[_reason(of)] = reason
    return said


def cleared(of: Scheme, row: Mapping[str, JSON]) -> dict[str, JSON]:
    """What takes back all that a row with these shown (nested) values says."""
    name = column(of)
    values = {f"{name}/{value}": False for value in row.get(name) or ()} if of.multi else {name: None}
    return {**values, "pinned": False, "check_by": None, "evidence": None, _reason(of): None}


def stands(of: Scheme, row: Mapping[str, JSON]) -> list[str]:
    """The values that a row with these shown (nested) values says."""
    value = row.get(column(of))
    if of.multi:
        return sorted(value or ())
    return [] if value is None else [value]


def _reason(of: Scheme) -> str:
    return "guarded_reason" if of.level is Level.SENSITIVE else "reason"
