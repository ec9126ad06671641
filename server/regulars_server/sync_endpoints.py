"""`/sync/v1`: pair, pull, digest and push of sync/regulars_sync/protocol.py over HTTP."""

from __future__ import annotations

from collections import Counter

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from regulars_schema.declare import Registry
from regulars_schema.messages import text
from regulars_server import web
from regulars_server.devices import confirm_wiped, enrol, refusal
from regulars_server.gate import Visit
from regulars_server.lookup import look_up
from regulars_server.pull import pull
from regulars_server.service import Service
from regulars_sync.changes import mask_lone_surrogates
from regulars_sync.errors import Refused
from regulars_sync.protocol import (
    PROTOCOL_VERSION,
    PUSH_CHANGES_MAX,
    Contact,
    DigestRequest,
    Hello,
    LookupAnswer,
    LookupRequest,
    PairRequest,
    PullRequest,
    PushRequest,
    RotateAnswer,
    Served,
    Verdict,
)
from regulars_sync.reconcile import Author

DAY_MS = 86_400_000


def routes(service: Service) -> list[Route]:
    """The endpoints that a tablet speaks with."""
    settings, gates = service.settings, service.gates
    body_bytes_max = settings.body_bytes_max

    async def do_hello(request: Request) -> Response:
        registry = service.storage.registry
        served = Served(registry.version, registry.oldest_served)
        return web.answer(request, msgspec.json.encode(Hello(PROTOCOL_VERSION, served, service.now_ms())))

    async def do_pair(request: Request) -> Response:
        with gates.entry.visit() as visit:
            asked = web.decode(await web.read_body(request, body_bytes_max, visit), PairRequest)
            _require_schema(service.storage.registry, asked.schema)
            remote = request.client.host if request.client else None
            return web.answer(request, msgspec.json.encode(await enrol(service, asked, remote)))

    async def do_pull(request: Request) -> Response:
        with gates.pull.visit(web.bearer(request)) as visit:
            return await answer_pull(request, visit, PullRequest)

    async def do_digest(request: Request) -> Response:
        with gates.pull.visit(web.bearer(request)) as visit:
            return await answer_pull(request, visit, DigestRequest)

    async def answer_pull(request: Request, visit: Visit, form: type[PullRequest]) -> Response:
        principal, author = await service.device(web.bearer(request))
        asked = web.decode(await web.read_body(request, body_bytes_max, visit), form)
        request.state.said = {"device": principal.device}
        try:
            if principal.revoked:
                raise await refusal(service, principal.device or "")
            _require_schema(service.storage.registry, asked.schema)
            now = service.now_ms()
            is_old = now - principal.issued_ms > settings.token_days * DAY_MS
            return web.answer(
                request,
                await pull(
                    service.storage,
                    author,
                    asked,
                    now,
                    settings.page_rows_max,
                    settings.backup_days,
                    is_old,
                ),
            )
        except Refused as refused:
            if refused.code == "device_wipe":
                raise
            return web.problem(request, refused, await _contact(service, author, asked))

    async def do_push(request: Request) -> Response:
        with gates.push.visit(web.bearer(request)) as visit:
            return await answer_push(request, visit)

    async def answer_push(request: Request, visit: Visit) -> Response:
        principal, author = await service.device(web.bearer(request))
        if principal.revoked:
            refused = await refusal(service, principal.device or "")
            if refused.code == "device_wipe":
                raise refused
        asked = _decode_push(await web.read_body(request, body_bytes_max, visit))
        if len(asked.changes) > PUSH_CHANGES_MAX or not asked.changes:
            reason = f"a push holds 1 to {PUSH_CHANGES_MAX} changes"
            raise Refused("body_invalid", reason=reason)
        if asked.n < 1 or not 8 <= len(asked.incarnation) <= 64 or not asked.incarnation.isalnum():
            raise Refused(
                "body_invalid", reason="n counts from 1; an incarnation is 8 to 64 letters and digits"
            )
        done = await service.admission.push(author, asked)
        counts = Counter(verdict.verdict for verdict in done.verdicts)
        request.state.said = {"device": principal.device, "changes": len(asked.changes), "verdicts": counts}
        lang = web.language(request)
        done.verdicts = [_worded(verdict, lang) for verdict in done.verdicts]
        return web.answer(request, msgspec.json.encode(done))

    async def do_wiped(request: Request) -> Response:
        principal, _ = await service.device(web.bearer(request))
        request.state.said = {"device": principal.device}
        return web.answer(request, msgspec.json.encode(await confirm_wiped(service, principal.device or "")))

    async def do_rotate(request: Request) -> Response:
        bearer = web.bearer(request)
        principal, _ = await service.device(bearer)
        request.state.said = {"device": principal.device}
        if principal.revoked:
            raise await refusal(service, principal.device or "")
        token = await service.access.renew(bearer or "", service.storage.chain.secret)
        return web.answer(request, msgspec.json.encode(RotateAnswer(token)))

    async def do_lookup(request: Request) -> Response:
        principal, author = await service.device(web.bearer(request))
        request.state.said = {"device": principal.device}
        if principal.revoked:
            raise await refusal(service, principal.device or "")
        with gates.query.visit(web.bearer(request)) as visit:
            asked = web.decode(await web.read_body(request, body_bytes_max, visit), LookupRequest)
            found = await look_up(service, principal, author, asked.field, asked.key)
            return web.answer(request, msgspec.json.encode(LookupAnswer(found)))

    given = (
        ("/lookup", do_lookup),
        ("/pair", do_pair),
        ("/pull", do_pull),
        ("/digest", do_digest),
        ("/push", do_push),
        ("/wiped", do_wiped),
        ("/rotate", do_rotate),
    )
    hello = web.guarded(do_hello, service.now_ms, service.entropy)
    return [Route("/sync/v1", hello)] + [
        Route(f"/sync/v1{path}", web.guarded(handler, service.now_ms, service.entropy), methods=["POST"])
        for path, handler in given
    ]


def _decode_push(body: bytes) -> PushRequest:
    """The push in a body; a change that holds half a character is left as it came, for its own verdict."""
    try:
        return web.decode(body, PushRequest)
    except Refused:
        masked = mask_lone_surrogates(body)
        if masked == body:
            raise
    asked = web.decode(masked, PushRequest)
    at = 0
    for i, change in enumerate(asked.changes):
        at = masked.index(bytes(change), at)
        asked.changes[i] = msgspec.Raw(body[at : at + len(bytes(change))])
        at += len(bytes(change))
    return asked


def _require_schema(registry: Registry, schema: int) -> None:
    if schema < registry.oldest_served:
        raise Refused("schema_too_old", schema=schema, oldest=registry.oldest_served)


async def _contact(service: Service, author: Author, asked: PullRequest) -> Contact:
    """What a push still needs when the pull is refused."""
    async with service.storage.reader(author.scopes or frozenset()) as reader:
        acks = await reader.acks(author.device or "", asked.acked)
    return Contact(service.now_ms(), acks)


def _worded(verdict: Verdict, lang: str) -> Verdict:
    if verdict.code is None:
        return verdict
    said = {"field": verdict.field, **(verdict.detail or {})}
    return msgspec.structs.replace(verdict, message=text(verdict.code, said, lang))
