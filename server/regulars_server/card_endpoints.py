"""`GET /cards/{id}.html` and `.pdf`: a customer's card on paper, for whoever may read the customer;
`/cards/blank.html` and `.pdf`: the empty form, `?kind=person` or `organization`. `?lang=zh` or `en`.

Nothing sensitive stands on paper, whoever asks; a customer out of reach is not found.
"""

from __future__ import annotations

import asyncio
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from regulars_server import web
from regulars_server.graph.operations import Operations
from regulars_server.paper.papers import FORMS, printed, sheet_of
from regulars_server.paper.printing import HTML_HEADERS, Press
from regulars_server.service import Service
from regulars_sync.errors import Refused

LANGUAGES = ("zh", "en")
MEDIA = {"html": "text/html; charset=utf-8", "pdf": "application/pdf"}
HEADERS = {
    "cache-control": "private, no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def routes(service: Service, operations: Operations) -> list[Route]:
    press, turn = Press(), asyncio.Lock()

    async def paper(request: Request, *, form: str) -> Response:
        principal = await operations.principal(web.bearer(request))
        asked = request.query_params
        lang = asked.get("lang", web.language(request))
        if lang not in LANGUAGES:
            raise Refused("enum_unknown", value=lang[:80], allowed=list(LANGUAGES))
        id = request.path_params["id"]
        sheet = await sheet_of(operations, principal, id, asked.get("kind", "person"), lang)
        async with turn:  # so that those who wait take no thread
            made = await printed(press, sheet, form, service.now_ms())
        own = HTML_HEADERS if form == "html" else {}
        name = {"content-disposition": f'inline; filename="card.{form}"', "content-type": MEDIA[form]}
        return Response(made, headers={**HEADERS, **own, **name})

    def route(form: str) -> Route:
        handler = web.guarded(partial(paper, form=form), service.now_ms, service.entropy)
        return Route(f"/cards/{{id}}.{form}", handler, methods=["GET"])

    return [route(form) for form in FORMS]
