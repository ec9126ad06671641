"""`/graphql`: GraphQL over HTTP. One operation a request, by POST in JSON, or a query by GET; no batches.

With `Accept: application/graphql-response+json` the status tells what happened: 400 when nothing was
run. With `application/json` it is 200 whenever the body was a GraphQL request. Both: 401 and 403 for
the token, 413 and 415 for the body, 406 when neither is taken.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any

import orjson
from graphql import OperationType
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from regulars_server import web
from regulars_server.gate import Visit
from regulars_server.graph import ide
from regulars_server.graph.charging import Throttled
from regulars_server.graph.documents import count, nesting
from regulars_server.graph.live.socket import Socket
from regulars_server.graph.live.streams import Streams
from regulars_server.graph.operations import Asked, Operations, WrongMethod
from regulars_server.graph.problems import coded
from regulars_server.graph.trust import document_id
from regulars_server.service import Service
from regulars_sync.errors import Refused, RegularsError

RESPONSE_MEDIA = "application/graphql-response+json"
JSON_MEDIA = "application/json"
BODY_BYTES_MAX = 1024 * 1024
VARIABLES_DEPTH_MAX = 40
VARIABLES_VALUES_MAX = 20_000


class _Unacceptable(Exception):
    pass


class _NotJson(Exception):
    pass


def routes(service: Service, operations: Operations) -> list[BaseRoute]:
    settings = service.settings
    streams = Streams(operations)

    async def post(request: Request) -> Response:
        async def asking(visit: Visit) -> Asked:
            if not _is_json(request.headers.get("content-type", "")):
                raise _NotJson
            return read(await web.read_body(request, min(settings.body_bytes_max, BODY_BYTES_MAX), visit))

        async def asking_for_events() -> Asked:
            with service.gates.query.visit() as visit:  # what follows is a line's
                return await asking(visit)

        if streams.is_asked(request):
            return await streams.post(request, asking_for_events)
        return await answered(request, asking, (OperationType.QUERY, OperationType.MUTATION))

    async def get(request: Request) -> Response:
        if streams.is_asked(request):
            return await streams.get(request)
        if {"query", "documentId", "extensions"} & request.query_params.keys():
            return await answered(request, partial(_from_url, request), (OperationType.QUERY,))
        if not settings.ide or ("text/html" not in request.headers.get("accept", "") and request.url.query):
            return Response(status_code=405, headers={"allow": "POST"})
        return ide.page()

    async def answered(
        request: Request, asking: Callable[[Visit], Awaitable[Asked]], kinds: Collection[OperationType]
    ) -> Response:
        try:
            media = accepted(request.headers.get("accept"))
        except _Unacceptable:
            return Response(status_code=406)
        try:
            with service.gates.query.visit() as visit:
                return await answered_in_turn(request, partial(asking, visit), kinds, media)
        except Refused as error:  # there was no room
            return _early(request, media, error)

    async def answered_in_turn(
        request: Request, asking: Callable[[], Awaitable[Asked]], kinds: Collection[OperationType], media: str
    ) -> Response:
        lang = web.language(request)
        try:
            principal = await operations.principal(web.bearer(request))
            if principal.device is not None:
                request.state.said = {"device": principal.device}
            asked = await asking()
            context = await operations.context(principal, lang)
        except _NotJson:
            return _answer(request, JSON_MEDIA, 415, _refused_media())
        except RegularsError as error:
            return _early(request, media, error)
        try:
            result = await operations.run(asked, context, kinds)
        except WrongMethod:
            if OperationType.MUTATION in kinds:
                return _refused(request, media, Refused("stream_needed"), lang)
            return Response(status_code=405, headers={"allow": "POST"})
        except RegularsError as error:
            return _refused(request, media, error, lang)
        finally:
            await context.close()
        said = operations.said(result, lang)
        if result.extensions:
            cost = result.extensions["cost"]["actualQueryCost"]
            request.state.said = {**getattr(request.state, "said", {}), "cost": cost}
        status = 200
        if not said.ran and media == RESPONSE_MEDIA:
            status = 500 if said.broke else 400
        return _answer(request, media, status, said.body, settings.answer_bytes_max, lang)

    async def socket(websocket: WebSocket) -> None:
        await Socket(operations, checked, websocket).serve()

    def guarded(handler: web.Handler) -> web.Handler:
        return web.guarded(handler, service.now_ms, service.entropy)

    found: list[BaseRoute] = [
        Route("/graphql", guarded(post), methods=["POST"]),
        Route("/graphql", guarded(get), methods=["GET"]),
        Route("/graphql", guarded(streams.put), methods=["PUT"]),
        Route("/graphql", guarded(streams.delete), methods=["DELETE"]),
        WebSocketRoute("/graphql", socket),
    ]
    if settings.ide:
        found += [
            Route(f"/graphql/ide/{name}", guarded(ide.asset(name)), methods=["GET"]) for name in ide.ASSETS
        ]
    return found


def accepted(accept: str | None) -> str:
    """The media type to answer in, by the weights of Accept; `_Unacceptable` when neither will do."""
    if accept is None or not accept.strip():
        return JSON_MEDIA
    best, weight = None, 0.0
    for part in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        try:
            q = next((float(p[2:]) for p in parameters if p.startswith("q=")), 1.0)
        except ValueError:
            q = 0.0
        if name in ("*/*", "application/*"):
            name = JSON_MEDIA
        elif name not in (RESPONSE_MEDIA, JSON_MEDIA):
            continue
        if q > weight:
            best, weight = name, q
    if best is None:
        raise _Unacceptable
    return best


async def _from_url(request: Request, visit: Visit) -> Asked:
    """The request in the parameters of a URL."""
    await visit.turn()
    given: dict[str, Any] = {}
    for name in ("query", "documentId", "operationName", "variables", "extensions"):
        said = request.query_params.get(name)
        given[name] = _json(said.encode()) if said and name in ("variables", "extensions") else said
    return checked(given)


def read(body: bytes) -> Asked:
    """The request in a body; `Refused("body_invalid")` says what is wrong with it."""
    return checked(_json(body))


def _json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Refused("body_invalid", reason=str(error)[:200]) from None


def checked(given: object) -> Asked:
    """The request that these parameters make; `Refused`."""
    if isinstance(given, list):
        raise Refused("body_invalid", reason="one query a request; batches are not served")
    if not isinstance(given, dict):
        raise Refused("body_invalid", reason="an object with `query` is expected")
    query, operation = given.get("query"), given.get("operationName")
    variables, extensions = given.get("variables"), given.get("extensions")
    id = document_id(given)
    if id is None and (not isinstance(query, str) or not query.strip()):
        raise Refused("body_invalid", reason="`query` should be a GraphQL document")
    if operation is not None and not isinstance(operation, str):
        raise Refused("body_invalid", reason="`operationName` should be a text")
    if variables is not None and not isinstance(variables, dict):
        raise Refused("body_invalid", reason="`variables` should be an object")
    if extensions is not None and not isinstance(extensions, dict):
        raise Refused("body_invalid", reason="`extensions` should be an object")
    if variables and count(variables, VARIABLES_VALUES_MAX) > VARIABLES_VALUES_MAX:
        raise Refused("query_too_large", what="values in variables", limit=VARIABLES_VALUES_MAX)
    if variables and nesting(variables, VARIABLES_DEPTH_MAX) > VARIABLES_DEPTH_MAX:
        raise Refused("query_too_large", what="depth of variables", limit=VARIABLES_DEPTH_MAX)
    return Asked(query or "", operation or None, variables or {}, extensions or {}, id)


def _is_json(content_type: str) -> bool:
    name, *parameters = (piece.strip().lower() for piece in content_type.split(";"))
    charset = next((p[8:].strip('"') for p in parameters if p.startswith("charset=")), "utf-8")
    return name == JSON_MEDIA and charset in ("utf-8", "utf8")


def _refused_media() -> dict[str, Any]:
    reason = "send application/json in UTF-8"
    return {"errors": [coded("body_invalid", {"reason": reason}, "en")]}


def _early(request: Request, media: str, error: RegularsError) -> Response:
    """Nothing was read that could be run: the status says so in either form."""
    web.refuse(request, error)
    said = {"errors": [coded(error.code, error.detail, web.language(request))]}
    response = _answer(request, media, error.status, said)
    return _with_retry_after(response, error)


def _with_retry_after(response: Response, error: RegularsError) -> Response:
    if "seconds" in error.detail:
        response.headers["retry-after"] = str(error.detail["seconds"])
    return response


def _refused(request: Request, media: str, error: RegularsError, lang: str) -> Response:
    """What was not run although it was a GraphQL request."""
    web.refuse(request, error)
    said: dict[str, Any] = {"errors": [coded(error.code, error.detail, lang)]}
    if isinstance(error, Throttled):
        said["extensions"] = {"cost": error.cost.told()}
    status = error.status if media == RESPONSE_MEDIA else 200
    return _with_retry_after(_answer(request, media, status, said), error)


def _answer(
    request: Request,
    media: str,
    status: int,
    said: dict[str, Any],
    bytes_max: int | None = None,
    lang: str = "en",
) -> Response:
    try:
        body = orjson.dumps(said)
    except TypeError:  # a whole number beyond 64 bits, or text that is none, can only come from a broken row
        body = orjson.dumps({"errors": [coded("internal", {"incident": "encode"}, lang)]})
        status = 500
    if bytes_max is not None and len(body) > bytes_max:
        refused = Refused("answer_too_large", bytes_max=bytes_max)
        body = orjson.dumps({"errors": [coded(refused.code, refused.detail, lang)]})
        status = refused.status if media == RESPONSE_MEDIA else 200
    response = web.answer(request, body, status, f"{media}; charset=utf-8")
    if status == 401:
        response.headers["www-authenticate"] = "Bearer"
    return response
