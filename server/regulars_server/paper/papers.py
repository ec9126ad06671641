"""The paper of a customer or an empty form, asked for as the caller may ask, without anything sensitive."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID

from regulars_schema.entities import CUSTOMER_KIND
from regulars_server.access import Principal
from regulars_server.graph.operations import Operations
from regulars_server.paper.printing import Press, html
from regulars_server.paper.sheet import CARD, FORM, Sheet, blank, filled
from regulars_sync.clock import instant_of
from regulars_sync.errors import Refused

BLANK = "blank"
"""In the place of a customer's id: the empty form."""
FORMS = ("html", "pdf")


async def sheet_of(operations: Operations, principal: Principal, id: str, kind: str, lang: str) -> Sheet:
    """The sheet of a customer, or of the form of a kind; nothing sensitive is read for it, whoever asks.

    `Refused` not_found, enum_unknown, and as any query.
    """
    if kind not in CUSTOMER_KIND.values:
        raise Refused("enum_unknown", value=kind[:80], allowed=sorted(CUSTOMER_KIND.values))
    context = await operations.context(replace(principal, sensitive=False), lang)
    try:
        language = lang.upper()
        if id == BLANK:
            said = await operations.answer(FORM, {"kind": kind.upper(), "lang": language}, context)
            return blank(said["cardForm"], lang)
        context.require_read("customer")
        said = await operations.answer(CARD, {"id": _id(id), "lang": language}, context)
        card = said["customerCard"]
        if card is None:
            raise Refused("not_found", entity="customer")
        tree = await operations.service.admission.tree()
        zone = tree.place(card["homeUnitId"]).zone
        return filled(card, lang, instant_of(operations.service.now_ms()), zone)
    finally:
        await context.close()


async def printed(press: Press, sheet: Sheet, form: str, now_ms: int) -> bytes:
    """As `html` or `pdf`; `Refused("card_missing")`."""
    if form == "html":
        return html(sheet)
    return await asyncio.to_thread(press.pdf, sheet, now_ms)


def _id(said: str) -> str:
    """`Refused("not_found")` for what can be no id."""
    try:
        return str(UUID(said))
    except ValueError:
        raise Refused("not_found", entity="customer") from None
