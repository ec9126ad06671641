"""graphql-transport-ws as its text has it: each message, each order of messages, each close code."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars_server.graph.live.protocol import (
    ID_CHARS_MAX,
    REASON_BYTES_MAX,
    Close,
    Code,
    Connection,
    Init,
    Reply,
    State,
    Stop,
    Subscribe,
)

QUERY = {"query": "{ me { name } }"}


def said(**message: Any) -> str:
    return orjson.dumps(message).decode()


def ready() -> Connection:
    connection = Connection()
    assert connection.receive(said(type="connection_init")) == Init({})
    assert connection.acknowledge() == '{"type":"connection_ack"}'
    return connection


def code(event: object) -> int:
    assert isinstance(event, Close), event
    return event.code.value


def test_a_connection_is_initialised_acknowledged_and_serves() -> None:
    connection = Connection()
    payload = {"authorization": "Bearer x"}
    assert connection.receive(said(type="connection_init", payload=payload)) == Init(payload)
    assert connection.state is State.INITIALISING
    assert connection.acknowledge() is not None
    assert connection.receive(said(type="subscribe", id="1", payload=QUERY)) == Subscribe("1", QUERY)
    assert connection.operations == 1
    assert orjson.loads(connection.next("1", {"data": {}}) or "") == {
        "id": "1",
        "type": "next",
        "payload": {"data": {}},
    }
    assert orjson.loads(connection.complete("1") or "") == {"id": "1", "type": "complete"}
    assert connection.operations == 0


def test_an_operation_before_the_acknowledgement_is_unauthorized() -> None:
    assert code(Connection().receive(said(type="subscribe", id="1", payload=QUERY))) == 4401
    connection = Connection()
    connection.receive(said(type="connection_init"))
    assert code(connection.receive(said(type="subscribe", id="1", payload=QUERY))) == 4401
    assert connection.acknowledge() is None


@pytest.mark.parametrize("acknowledged", [False, True])
def test_a_second_initialisation_is_too_many(acknowledged: bool) -> None:
    connection = Connection()
    connection.receive(said(type="connection_init"))
    if acknowledged:
        connection.acknowledge()
    assert code(connection.receive(said(type="connection_init"))) == 4429


def test_an_id_in_use_is_not_given_twice_and_may_be_used_again_afterwards() -> None:
    connection = ready()
    subscribe = said(type="subscribe", id="1", payload=QUERY)
    for end in (lambda: connection.complete("1"), lambda: connection.error("1", [])):
        assert isinstance(connection.receive(subscribe), Subscribe)
        assert end() is not None
    assert isinstance(connection.receive(subscribe), Subscribe)
    assert connection.receive(said(type="complete", id="1")) == Stop("1")
    assert isinstance(connection.receive(subscribe), Subscribe)
    event = connection.receive(subscribe)
    assert event == Close(Code.SUBSCRIBER_EXISTS, "Subscriber for 1 already exists")
    assert event.code.value == 4409


def test_nothing_is_told_of_an_operation_that_is_over() -> None:
    connection = ready()
    connection.receive(said(type="subscribe", id="1", payload=QUERY))
    connection.receive(said(type="complete", id="1"))
    assert connection.next("1", {}) is None
    assert connection.error("1", []) is None
    assert connection.complete("1") is None
    assert connection.receive(said(type="complete", id="1")) is None
    assert not connection.is_open("1")


def test_a_ping_is_answered_in_every_state_with_what_it_carried() -> None:
    connection = Connection()
    assert connection.receive(said(type="ping")) == Reply('{"type":"pong"}')
    assert connection.receive(said(type="ping", payload={"n": 1})) == Reply(
        '{"type":"pong","payload":{"n":1}}'
    )
    assert connection.receive(said(type="pong")) is None
    connection.receive(said(type="connection_init"))
    connection.acknowledge()
    assert isinstance(connection.receive(said(type="ping")), Reply)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "no json",
        "[]",
        "1",
        "{}",
        said(type=1),
        said(type="start", id="1", payload=QUERY),  # of the legacy protocol
        said(type="connection_init", payload="x"),
        said(type="ping", payload=[1]),
        said(type="pong", payload=1),
        said(type="subscribe", payload=QUERY),
        said(type="subscribe", id="", payload=QUERY),
        said(type="subscribe", id=1, payload=QUERY),
        said(type="subscribe", id="1" * (ID_CHARS_MAX + 1), payload=QUERY),
        said(type="subscribe", id="1"),
        said(type="subscribe", id="1", payload="x"),
        said(type="subscribe", id="1", payload={}),
        said(type="subscribe", id="1", payload={"query": 1}),
        said(type="subscribe", id="1", payload={**QUERY, "operationName": 1}),
        said(type="subscribe", id="1", payload={**QUERY, "variables": []}),
        said(type="subscribe", id="1", payload={**QUERY, "extensions": "x"}),
        said(type="complete"),
        said(type="next", id="1", payload={}),
        said(type="connection_ack"),
    ],
)
def test_what_is_no_message_closes(text: str | None) -> None:
    connection = ready()
    assert code(connection.receive(text)) == 4400
    assert connection.state is State.CLOSED
    assert connection.receive(said(type="ping")) is None


def test_absent_parts_of_an_operation_may_be_null() -> None:
    payload = {**QUERY, "operationName": None, "variables": None, "extensions": None}
    assert isinstance(ready().receive(said(type="subscribe", id="1", payload=payload)), Subscribe)


def test_a_trusted_document_needs_no_text() -> None:
    payload = {"documentId": "sha256:x"}
    assert ready().receive(said(type="subscribe", id="1", payload=payload)) == Subscribe("1", payload)


def test_a_reason_fits_into_a_close_frame() -> None:
    close = Connection().close(Code.FORBIDDEN, "名" * 100)
    assert len(close.reason.encode()) <= REASON_BYTES_MAX
    assert close.reason == "名" * (REASON_BYTES_MAX // 3)


MESSAGES = st.one_of(
    st.none(),
    st.text(max_size=20),
    st.sampled_from(
        [
            said(type="connection_init"),
            said(type="ping"),
            said(type="pong"),
            *(said(type="subscribe", id=id, payload=QUERY) for id in "ab"),
            *(said(type="complete", id=id) for id in "ab"),
        ]
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["type", "id", "payload", "query"]), inner)
        ),
        max_leaves=8,
    ).map(lambda value: orjson.dumps(value).decode()),
)


@given(st.lists(st.tuples(MESSAGES, st.booleans()), max_size=12))
def test_whatever_comes_the_machine_keeps_its_order(steps: list[tuple[str | None, bool]]) -> None:
    """It never serves before it acknowledged, never twice under one id, and is silent once it is closed."""
    connection = Connection()
    open_: set[str] = set()
    acknowledged = False
    for text, acknowledge in steps:
        was = connection.state
        event = connection.receive(text)
        if was is State.CLOSED:
            assert event is None
        if isinstance(event, Subscribe):
            assert acknowledged
            assert event.id not in open_
            open_.add(event.id)
        elif isinstance(event, Stop):
            open_.remove(event.id)
        elif isinstance(event, Close):
            open_.clear()
        if acknowledge and connection.acknowledge() is not None:
            assert was is State.NEW or connection.state is State.READY
            acknowledged = True
        assert connection.operations == len(open_)
