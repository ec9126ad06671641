"""graphql-transport-ws, the server's side, as a pure state machine: texts in, events and texts out.

    NEW --connection_init--> INITIALISING --acknowledge()--> READY        from anywhere: CLOSED

    client                server
    connection_init   ->  connection_ack        once; anything else first is 4401, a second one 4429
    subscribe         ->  next ... complete     or `error` instead of both, when nothing was run
    complete          ->                        the client stops an operation; no answer
    ping              ->  pong                  with the ping's payload; a pong is taken and ignored

    4400 what is no message   4401 not acknowledged yet   4403 not let in   4406 another subprotocol
    4408 no connection_init in time   4409 the id is in use   4429 a second connection_init

`receive` gives what its caller is to do. What is told of an operation that ended meanwhile is dropped here,
so that nobody who works beside the reader has to ask. There is no I/O and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import orjson

SUBPROTOCOL = "graphql-transport-ws"
ID_CHARS_MAX = 200
REASON_BYTES_MAX = 123
"""What a close frame has room for."""


class Code(int, Enum):
    """Why a socket is closed."""

    NORMAL = 1000
    GOING_AWAY = 1001
    TRY_AGAIN_LATER = 1013
    INTERNAL = 4500
    INVALID_MESSAGE = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    INIT_TIMEOUT = 4408
    SUBSCRIBER_EXISTS = 4409
    TOO_MANY_INITS = 4429


class State(Enum):
    NEW = "new"
    INITIALISING = "initialising"
    READY = "ready"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Init:
    """Let the client in, or not: `acknowledge()` or `close()`."""

    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Subscribe:
    id: str
    payload: Mapping[str, Any]
    """query (or a documentId), operationName, variables and extensions, of the right types."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The client wants no more of this operation."""

    id: str


@dataclass(frozen=True, slots=True)
class Reply:
    text: str


@dataclass(frozen=True, slots=True)
class Close:
    code: Code
    reason: str


Event = Init | Subscribe | Stop | Reply | Close


class _Invalid(Exception):
    pass


class Connection:
    """One socket's protocol."""

    def __init__(self) -> None:
        self.state = State.NEW
        self._operations: set[str] = set()

    @property
    def operations(self) -> int:
        """How many are under way."""
        return len(self._operations)

    # --- what the client says --------------------------------------------------------------------------

    def receive(self, text: str | None) -> Event | None:
        """What a frame asks for; None for one that asks for nothing. `text` None is a binary frame."""
        if self.state is State.CLOSED:
            return None
        try:
            return self._receive(_message(text))
        except _Invalid as invalid:
            return self.close(Code.INVALID_MESSAGE, str(invalid))

    def _receive(self, message: dict[str, Any]) -> Event | None:
        match message.get("type"):
            case "connection_init":
                payload = _object(message, "payload")
                if self.state is not State.NEW:
                    return self.close(Code.TOO_MANY_INITS, "Too many initialisation requests")
                self.state = State.INITIALISING
                return Init(payload)
            case "ping":
                payload = _object(message, "payload")
                return Reply(_text({"type": "pong", **({"payload": payload} if payload else {})}))
            case "pong":
                _object(message, "payload")
                return None
            case "subscribe":
                id, payload = _id(message), _operation(message)
                if self.state is not State.READY:
                    return self.close(Code.UNAUTHORIZED, "Unauthorized")
                if id in self._operations:
                    return self.close(Code.SUBSCRIBER_EXISTS, f"Subscriber for {id} already exists")
                self._operations.add(id)
                return Subscribe(id, payload)
            case "complete":
                id = _id(message)
                if id not in self._operations:
                    return None
                self._operations.discard(id)
                return Stop(id)
            case str(other):
                raise _Invalid(f"There is no message of type {other[:40]!r} here")
            case _:
                raise _Invalid("A message has a `type`")

    # --- what the server says --------------------------------------------------------------------------

    def acknowledge(self) -> str | None:
        """The client is let in. None when it is gone already."""
        if self.state is not State.INITIALISING:
            return None
        self.state = State.READY
        return _text({"type": "connection_ack"})

    def is_open(self, id: str) -> bool:
        """Whether somebody still wants to hear of an operation."""
        return id in self._operations

    def next(self, id: str, payload: Mapping[str, Any]) -> str | None:
        """One result; None when nobody wants it any more."""
        if id not in self._operations:
            return None
        return _text({"id": id, "type": "next", "payload": payload})

    def error(self, id: str, errors: list[Any]) -> str | None:
        """Nothing was run, or no more can be; the operation is over."""
        return self._end(id, {"id": id, "type": "error", "payload": errors})

    def complete(self, id: str) -> str | None:
        return self._end(id, {"id": id, "type": "complete"})

    def _end(self, id: str, message: dict[str, Any]) -> str | None:
        if id not in self._operations:
            return None
        self._operations.discard(id)
        return _text(message)

    def close(self, code: Code, reason: str) -> Close:
        """Nothing is said or heard after it."""
        self.state = State.CLOSED
        self._operations.clear()
        raw = reason.encode()[:REASON_BYTES_MAX]
        return Close(code, raw.decode(errors="ignore"))


def _text(message: dict[str, Any]) -> str:
    return orjson.dumps(message).decode()


def _message(text: str | None) -> dict[str, Any]:
    if text is None:
        raise _Invalid("Messages are sent as text")
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise _Invalid("A message is JSON") from None
    if not isinstance(message, dict):
        raise _Invalid("A message is an object")
    return message


def _object(of: Mapping[str, Any], name: str) -> dict[str, Any]:
    given = of.get(name)
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise _Invalid(f"`{name}` is an object")
    return given


def _id(message: Mapping[str, Any]) -> str:
    id = message.get("id")
    if not isinstance(id, str) or not id:
        raise _Invalid("`id` is a text that is not empty")
    if len(id) > ID_CHARS_MAX:
        raise _Invalid(f"`id` has at most {ID_CHARS_MAX} characters")
    return id


def _operation(message: Mapping[str, Any]) -> dict[str, Any]:
    payload = message.get("payload")
    if not isinstance(payload, dict):
        raise _Invalid("`payload` is an object")
    query, name = payload.get("query"), payload.get("operationName")
    if not isinstance(query, str) and "documentId" not in payload:
        raise _Invalid("`query` is a GraphQL document")
    if name is not None and not isinstance(name, str):
        raise _Invalid("`operationName` is a text")
    for part in ("variables", "extensions"):
        _object(payload, part)
    return payload
