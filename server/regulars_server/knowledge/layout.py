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
        return f"SELECT e.row FROM element e WHERE e.field = {number} AND e.key = ?"

    def linked(self) -> str:
        return f"{_LINKED.format('from_customer', 'to_customer', 'to')} UNION ALL " + _LINKED.format(
            "to_customer", "from_customer", "from"
        )


_LINKED = (
    "SELECT k.row AS customer, n.{1} AS other, n.kind, '{2}' AS direction FROM link n"
    " JOIN customer k ON k.id = n.{0} WHERE n.document IS NOT NULL AND n.active IS DISTINCT FROM 0"
)
