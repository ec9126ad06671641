"""Where the tables of storage keep what rules ask of: `rules.sql.Layout` for both engines."""

from __future__ import annotations

from regulars_server.storage.tables import TABLES

_CUSTOMER = TABLES["customer"]


class ServerLayout:
    """Customers by their own rows: of merged ones a row does not say what the person is."""

    deeds = "deed"
    lines = "deed_line"

    def column(self, field: str) -> str | None:
        found = _CUSTOMER.column(field)
        if found is None:
            return None
        return f'(c."{field}" <> 0)' if found.type == "bool" else f'c."{field}"'

    def holding(self, field: str) -> str | None:
        if _CUSTOMER.keys_of(field) is None:
            return None
        number = f"(SELECT id FROM term WHERE name = 'customer.{field}')"
        return (
            "SELECT k.id FROM element e CROSS JOIN customer k ON k.row = e.row"
            f" WHERE e.field = {number} AND e.key = ?"
        )

    def linked(self) -> str:
        there = "FROM link WHERE document IS NOT NULL AND active IS DISTINCT FROM 0"
        return (
            f"SELECT from_customer AS customer, to_customer AS other, kind, 'to' AS direction {there}"
            f" UNION ALL SELECT to_customer, from_customer, kind, 'from' {there}"
        )
