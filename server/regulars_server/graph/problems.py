"""What went wrong, in the shapes that GraphQL has for it: typed results, and errors with stable codes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import orjson
import strawberry
from graphql import GraphQLError
from strawberry.scalars import JSON

from regulars_schema.declare import Unfit
from regulars_schema.messages import MESSAGES, text
from regulars_server.graph.rows import Node
from regulars_sync.errors import RegularsError

log = logging.getLogger("regulars")

ERRORS_MAX = 50


@strawberry.interface(description="Why a mutation did nothing. `code` is stable: see docs/ERRORS.md.")
class Error:
    code: str
    path: str | None = strawberry.field(description="The field or argument that is to blame.")
    message: str = strawberry.field(description="In the language of Accept-Language, Chinese or English.")
    detail: JSON | None = strawberry.field(description="What fills the message.")
    retryable: bool = strawberry.field(description="Whether the same mutation may pass later.")


@strawberry.type(description="Nothing was done, and why.")
class Refusal(Error):
    pass


@strawberry.type(description="The row is not at `expectedVersion` any more.")
class VersionConflict(Error):
    present: Node | None = strawberry.field(description="The row as it is now.")


def error_words(error: RegularsError, lang: str) -> dict[str, Any]:
    return {
        "code": error.code,
        "path": error.detail.get("field"),
        "message": error.text(lang),
        "detail": _plain(error.detail) or None,
        "retryable": error.retryable,
    }


def refusal(error: RegularsError, lang: str) -> Refusal:
    return Refusal(**error_words(error, lang))


def conflict(error: RegularsError, lang: str, present: Node) -> VersionConflict:
    return VersionConflict(**error_words(error, lang), present=present)


def coded(code: str, detail: dict[str, Any], lang: str) -> dict[str, Any]:
    """An error of a whole request, as one entry of `errors`."""
    message = MESSAGES.get(code)
    extensions: dict[str, Any] = {"code": code, "retryable": message is not None and message.retryable}
    if detail:
        extensions["detail"] = _plain(detail)
    return {"message": text(code, detail, lang), "extensions": extensions}


def formatted(
    errors: Iterable[GraphQLError], lang: str, incident: Callable[[], str]
) -> tuple[list[dict[str, Any]], bool]:
    """The `errors` of an answer, and whether one is a fault of ours, told by its incident only."""
    found: list[dict[str, Any]] = []
    broke = False
    for error in errors:
        if len(found) == ERRORS_MAX:
            break
        cause = error.original_error
        while isinstance(cause, GraphQLError) and cause.original_error is not None:
            cause = cause.original_error
        if isinstance(cause, Unfit | RegularsError):
            said = coded(cause.code, cause.detail, lang)
        elif cause is None or isinstance(cause, GraphQLError):
            said = asked_wrongly(error)
        else:
            number = incident()
            broke = True
            log.error(
                "incident %s",
                number,
                exc_info=cause,
                extra={"incident": number, "error": type(cause).__name__},
            )
            said = coded("internal", {"incident": number}, lang)
        if error.path:
            said["path"] = error.path
        if error.locations:
            said["locations"] = [{"line": at.line, "column": at.column} for at in error.locations[:3]]
        found.append(said)
    return found, broke


def asked_wrongly(error: GraphQLError) -> dict[str, Any]:
    """A mistake in the document or the variables, in graphql-core's own words."""
    code = (error.extensions or {}).get("code")
    if code not in MESSAGES:
        code = "argument_invalid"
    message = error.message.encode(errors="replace").decode()[:1_000]
    return {"message": message, "extensions": {"code": code, "retryable": False}}


def _plain(detail: dict[str, Any]) -> dict[str, Any]:
    """The detail as JSON that every reader takes."""
    try:
        orjson.dumps(detail)
        return detail
    except (TypeError, ValueError):
        return {key: str(value).encode(errors="replace").decode() for key, value in detail.items()}
