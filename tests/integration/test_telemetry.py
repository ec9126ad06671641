"""Metrics and traces: what is counted, that workers count together, and that nothing personal is told."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from regulars_server.app import jobs_of
from regulars_server.settings import Settings
from regulars_server.telemetry import SILENT, Telemetry, figures, wiring
from regulars_server.telemetry.declared import METRICS
from regulars_server.telemetry.metrics import Gathering, PrometheusMeter, address, page
from regulars_server.telemetry.traces import OtelTracer
from regulars_server.telemetry.watching import watched
from regulars_server.web import JsonLines
from regulars_sync.errors import LocalError, Refused
from tests.support.chain import Chain, new_chain
from tests.support.graph import CREATE, Tablet, caller
from tests.support.server import serving

ENOUGH_S = 20.0
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Told:
    """A telemetry of its own, and what it was told."""

    def __init__(self) -> None:
        self.spans = InMemorySpanExporter()
        self.meter = PrometheusMeter()
        self.telemetry = Telemetry(self.meter, OtelTracer(SimpleSpanProcessor(self.spans)))

    def page(self) -> str:
        return generate_latest(self.meter.registry).decode()

    def value(self, name: str, **labels: str) -> float | None:
        return samples(self.page()).get((name, tuple(sorted(labels.items()))))

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans.get_finished_spans() if span.name == name]


def samples(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def chain(tmp_path: Path, told: Told) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path, telemetry=told.telemetry) as made:
        yield made


async def test_a_round_is_timed_and_its_verdicts_counted(chain: Chain, told: Told):
    shop = await chain.tablet("one")
    lin = await shop.customers.create(name="Lin Fang")
    await shop.sync()
    push = {"method": "POST", "route": "/sync/v1/push", "status": "200"}
    assert told.value("regulars_request_seconds_count", **push) == 1
    assert told.value("regulars_request_seconds_count", **{**push, "route": "/sync/v1/pull"}) == 2
    applied = told.value("regulars_verdicts_total", verdict="applied", code="")
    assert applied
    assert told.value("regulars_storage_seconds_count", step="commit", outcome="done")
    assert told.value("regulars_storage_seconds_count", step="wait", outcome="done")
    await shop.customers.edit(lin, name="Lin Fang 2")
    await shop.sync()
    assert told.value("regulars_verdicts_total", verdict="applied", code="") == applied + 1


async def test_a_push_has_spans_for_load_settle_and_commit_beneath_its_request(chain: Chain, told: Told):
    shop = await chain.tablet("one")
    await shop.customers.create(name="Lin Fang")
    told.spans.clear()
    await shop.sync()
    (request,) = told.named("POST /sync/v1/push")
    assert request.attributes is not None
    assert request.attributes["regulars.device"]
    beneath = {
        span.name
        for span in told.spans.get_finished_spans()
        if request.context is not None and span.parent and span.parent.span_id == request.context.span_id
    }
    assert {"push load", "push settle", "admission commit"} <= beneath
    assert told.named("storage commit")
    assert len(told.named("POST /sync/v1/pull")) == 2


async def test_graphql_is_told_by_kind_name_and_a_hash_without_values(chain: Chain, told: Told):
    office = await caller(chain, "admin")
    hashes = set()
    for text in ("Lin", "Wang"):
        told.spans.clear()
        query = f'query Find {{ customers(where: {{name: {{eq: "{text}"}}}}) {{ nodes {{ id }} }} }}'
        await office.ask(query)
        (span,) = told.named("graphql query")
        assert span.attributes is not None
        assert span.attributes["graphql.operation.name"] == "Find"
        hashes.add(span.attributes["graphql.document.hash"])
    assert len(hashes) == 1
    assert told.value("regulars_graphql_seconds_count", kind="query", outcome="done") == 2
    assert told.value("regulars_graphql_cost_count", kind="query") == 2


async def test_a_traceparent_is_honoured(chain: Chain, told: Told):
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(chain.app), base_url="http://hq") as client:
        await client.get("/sync/v1", headers={"traceparent": TRACEPARENT})
    (span,) = told.named("GET /sync/v1")
    assert span.context is not None
    assert span.parent is not None
    assert f"{span.context.trace_id:032x}" == TRACEPARENT.split("-")[1]
    assert f"{span.parent.span_id:016x}" == TRACEPARENT.split("-")[2]


async def test_refusals_are_counted_by_code(chain: Chain, told: Told):
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(chain.app), base_url="http://hq") as client:
        await client.post("/sync/v1/push", content=b"{}")
        await client.post(
            "/graphql", json={"query": "{ me { name } }"}, headers={"authorization": "Bearer x"}
        )
        await client.request("BREW", "/teapot/secret")
    assert told.value("regulars_refusals_total", status="401", code="token_missing") == 1
    assert told.value("regulars_refusals_total", status="401", code="token_invalid") == 1
    unknown = {"method": "unknown", "route": "unknown", "status": "404"}
    assert told.value("regulars_request_seconds_count", **unknown) == 1


async def test_figures_tell_what_waits_and_who_lags(chain: Chain, told: Told):
    shop = await chain.tablet("one")
    await (await chain.tablet("two")).sync()
    till = await Tablet(chain, await caller(chain)).pair("Orchard")
    await till.push(till.change({"name": "x", "gender": "wrong"}, "c" * 32))
    chain.clock.pass_(hours=2)
    await shop.sync()
    await chain.service.access.flush()
    await figures.publish(chain.service)
    assert told.value("regulars_devices", within="300") == 1
    assert told.value("regulars_devices", within="86400") == 3
    assert told.value("regulars_devices", within="+Inf") == 3
    lags = {
        value for (name, _), value in samples(told.page()).items() if name == "regulars_device_lag_seconds"
    }
    assert len(lags) == 3
    assert max(lags) >= 7_200
    found = samples(told.page())
    waiting = [key for key in found if key[0] == "regulars_waiting_changes"]
    ((_, labels),) = waiting
    assert dict(labels)["verdict"] == "rejected"
    assert found["regulars_waiting_oldest_seconds", labels] >= 7_200
    assert told.value("regulars_disk_free_bytes")
    assert told.value("regulars_commit_seq")


async def test_jobs_are_timed_and_a_failure_counts_as_one(chain: Chain, told: Told):
    found = {job.name: job for job in jobs_of(chain.service)}
    await found["works"].work()
    assert told.value("regulars_work_seconds_count", work="works", outcome="done") == 1

    async def breaks() -> None:
        raise Refused("busy")

    with pytest.raises(Refused):
        await watched(told.telemetry, "works", breaks)()
    assert told.value("regulars_work_seconds_count", work="works", outcome="failed") == 1
    assert "figures" in found


async def test_nothing_that_is_off_stands_in_the_way(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        assert not chain.service.telemetry.is_on
        assert type(chain.service.storage).__name__ == "SqliteStorage"
        assert "Watching" not in str(chain.app.user_middleware)
        assert "figures" not in {job.name for job in jobs_of(chain.service)}


LABELS = frozenset(
    [
        "method",
        "route",
        "status",
        "code",
        "kind",
        "verdict",
        "outcome",
        "step",
        "work",
        "state",
        "device",
        "within",
    ]
)

# --- privacy ------------------------------------------------------------------------------------------

NAME, PHONE, NOTE, TAG, PASSWORD = "金丝雀女士", "13800138123", "canary note", "canarytag", "canary-password"


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(JsonLines())

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def lines() -> Iterator[list[str]]:
    handler, root = Lines(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler.lines
    root.removeHandler(handler)
    root.setLevel(level)


async def test_no_customer_no_token_and_no_key_is_ever_told(
    chain: Chain, told: Told, lines: list[str], monkeypatch: pytest.MonkeyPatch
):
    """Canaries go by every road; metrics, spans and log lines are searched for them."""
    shop = await chain.tablet("till-canary")
    await shop.customers.create(name=NAME, phone=PHONE, notes=NOTE)
    await shop.sync()
    await shop.customers.lookup(phone=PHONE)
    office = await caller(chain, "admin")
    key = "canary-key-1"
    await office.send(CREATE, key=key, input={"name": NAME, "phones": [PHONE], "notes": NOTE})
    await office.send(f'query Q {{ customers(search: "{NAME}") {{ nodes {{ name }} }} }}')
    await office.send(f'{{ customers(where: {{name: {{eq: "{NAME}"}}}}) {{ nodes {{ name "{PHONE}" }} }} }}')
    await office.send(CREATE, key=key, input={"name": NAME, "phones": [PHONE * 40], "notes": NOTE})

    def breaks(*_: Any) -> None:
        raise KeyError(NAME, PHONE, office.token)

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(chain.app), base_url="http://hq") as client:
        bad = {"authorization": f"Bearer {office.token}x", "x-request-id": f"a {PHONE}"}
        await client.post("/sync/v1/push", content=NAME.encode(), headers=bad)
        await client.get("/graphql", params={"query": f'{{ customers(search: "{NAME}") {{ id }} }}'})
        await client.post("/auth/login", json={"name": NAME, "password": PASSWORD})
        monkeypatch.setattr("regulars_server.sync_endpoints.Served", breaks)
        assert (await client.get("/sync/v1")).status_code == 500
    await figures.publish(chain.service)
    spans = "".join(span.to_json(indent=None) for span in told.spans.get_finished_spans())
    logged = "\n".join(lines)
    assert "incident" in logged
    assert "POST /graphql" in spans
    canaries = [NAME, PHONE, "+8613800138123", NOTE, TAG, PASSWORD, key, office.token, "Bearer"]
    escaped = [json.dumps(one)[1:-1] for one in canaries]
    for where, text in (("metrics", told.page()), ("spans", spans), ("log", logged)):
        assert not [one for one in (*canaries, *escaped) if one in text], where


async def test_labels_are_declared_and_only_devices_have_ids(chain: Chain, told: Told):
    await figures.publish(chain.service)
    declared = {metric.name: metric for metric in METRICS}
    assert len(declared) == len(METRICS)
    for metric in METRICS:
        assert metric.name.startswith("regulars_")
        assert metric.help.endswith(".")
        assert set(metric.labels) <= LABELS
    assert set(declared) >= {f"regulars_{name}" for name in ("request_seconds", "device_lag_seconds")}


# --- the page --------------------------------------------------------------------------------------------


def fetched(url: str) -> Samples:
    with urllib.request.urlopen(url, timeout=ENOUGH_S) as answer:
        return samples(answer.read().decode())


def until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + ENOUGH_S
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.1)


def test_the_page_has_an_address_of_its_own():
    meter = PrometheusMeter()
    meter.note("regulars_lines", 3, ("events",))
    with page(meter.registry, "127.0.0.1", 0) as url:
        assert fetched(url)["regulars_lines", (("kind", "events"),)] == 3
        port = int(url.split(":")[2].split("/")[0])
        with pytest.raises(LocalError) as taken, page(meter.registry, "127.0.0.1", port):
            pass
    assert taken.value.code == "address_taken"


@pytest.mark.parametrize("written", ["9470", "127.0.0.1", ":9470", "host:port", "127.0.0.1:99999"])
def test_an_address_without_host_and_port_is_refused(written: str):
    with pytest.raises(LocalError) as refused:
        address(written)
    assert refused.value.code == "setting_invalid"


def test_addresses_of_both_kinds_are_read():
    assert address("127.0.0.1:9470") == ("127.0.0.1", 9470)
    assert address("[::1]:9470") == ("::1", 9470)


WORKER = """
import sys
from regulars_server.telemetry.metrics import PrometheusMeter
meter = PrometheusMeter()
meter.note("regulars_refusals_total", 2, ("429", "throttled"))
meter.note("regulars_lines", 5, ("events",))
meter.note("regulars_request_seconds", 0.02, ("POST", "/sync/v1/push", "200"))
meter.publish([("regulars_commit_seq", (), 7.0)])
print("ready", flush=True)
sys.stdin.read()
"""


def test_workers_are_counted_together_and_what_a_dead_one_had_open_is_forgotten(tmp_path: Path):
    gathering = Gathering(tmp_path)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **gathering.environment},
        )
        for _ in range(2)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline()
        with page(gathering.registry, "127.0.0.1", 0) as url:
            found = fetched(url)
            assert found["regulars_refusals_total", (("code", "throttled"), ("status", "429"))] == 4
            assert found["regulars_lines", (("kind", "events"),)] == 10
            assert found["regulars_commit_seq", ()] == 7
            push = (("method", "POST"), ("route", "/sync/v1/push"), ("status", "200"))
            assert found["regulars_request_seconds_count", push] == 2
            workers[0].send_signal(signal.SIGKILL)
            workers[0].wait()
            gathering.forget(workers[0].pid)
            found = fetched(url)
            assert found["regulars_lines", (("kind", "events"),)] == 5
            assert found["regulars_refusals_total", (("code", "throttled"), ("status", "429"))] == 4
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def test_a_server_shows_metrics_there_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REGULARS_METRICS", "127.0.0.1:0")
    with serving(tmp_path / "data") as (process, said):
        asked = urllib.request.Request(f"{said['urls'][0]}/metrics")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(asked, timeout=ENOUGH_S)
        assert refused.value.code == 404
        until(lambda: ("regulars_commit_seq", ()) in fetched(said["metrics"]))
        found = fetched(said["metrics"])
        unknown = (("method", "GET"), ("route", "unknown"), ("status", "404"))
        assert found["regulars_request_seconds_count", unknown] == 1
        assert found["process_resident_memory_bytes", ()] > 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(ENOUGH_S) == 0


def test_traces_go_by_otlp_to_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    got: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    collector = HTTPServer(("127.0.0.1", 0), Collector)
    Thread(target=collector.serve_forever, daemon=True).start()
    try:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "songhe-hq")
        with serving(tmp_path / "data") as (process, said):
            with urllib.request.urlopen(f"{said['urls'][0]}/sync/v1", timeout=ENOUGH_S):
                pass
            process.send_signal(signal.SIGTERM)
            assert process.wait(ENOUGH_S) == 0
    finally:
        collector.shutdown()
        collector.server_close()
    assert {path for path, _ in got} == {"/v1/traces"}
    sent = b"".join(body for _, body in got)
    assert b"songhe-hq" in sent
    assert b"GET /sync/v1" in sent


def test_without_a_setting_nothing_is_imported():
    script = (
        "import sys, os\n"
        "from regulars_server.telemetry import wiring\n"
        "from regulars_server.settings import Settings\n"
        "import regulars_server.app\n"
        "assert not wiring.of(Settings(), {}).is_on\n"
        "found = [m for m in sys.modules if m.startswith(('prometheus_client', 'opentelemetry'))]\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize("module", ["prometheus_client", "opentelemetry"])
def test_without_the_extra_one_line_says_so_and_the_server_goes_on(
    module: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    for name in [
        n for n in sys.modules if n.split(".")[0] == module or n.startswith("regulars_server.telemetry.")
    ]:
        if name.endswith(("metrics", "traces")) or name.split(".")[0] == module:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    settings = Settings(metrics="127.0.0.1:0") if module == "prometheus_client" else Settings()
    environment = {} if settings.metrics else {"OTEL_TRACES_EXPORTER": "otlp"}
    assert not wiring.of(settings, environment).is_on
    (record,) = caplog.records
    assert "regulars[server,telemetry]" in record.getMessage()
    assert wiring.of(Settings(), {}) is SILENT


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
    ],
)
def test_traces_are_asked_for_by_the_standard_variables(environment: dict[str, str], wanted: bool):
    assert wiring.wants_traces(environment) is wanted
