"""What the settings and the environment ask to be told."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from regulars_server.telemetry import SILENT, Meter, Telemetry, Tracer

if TYPE_CHECKING:
    from regulars_server.settings import Settings
    from regulars_server.telemetry.metrics import Gathering

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

log = logging.getLogger("regulars")


def wants_traces(environment: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's own variables ask for traces."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER", "")
    return exporter == "otlp" or (not exporter and any(map(environment.get, ENDPOINTS)))


def of(settings: Settings, environment: Mapping[str, str]) -> Telemetry:
    """Metrics where the settings name a page for them, traces where the environment names a collector.

    Without the extra the server serves all the same, and a line of the log says what is missing.
    """
    meter: Meter | None = None
    tracer: Tracer | None = None
    if not settings.metrics and not wants_traces(environment):
        return SILENT
    try:
        if settings.metrics:
            from regulars_server.telemetry.metrics import PrometheusMeter

            meter = PrometheusMeter()
        if wants_traces(environment):
            from regulars_server.telemetry.traces import OtelTracer

            tracer = OtelTracer()
    except ImportError as missing:
        tell_missing(missing)
    return Telemetry(meter, tracer)


@contextmanager
def page(settings: Settings, telemetry: Telemetry, environment: Mapping[str, str]) -> Iterator[str | None]:
    """Where this process shows its metrics; None when it shows none, or its keeper does."""
    if telemetry.meter is None:
        yield None
        return
    from regulars_server.telemetry import metrics

    assert isinstance(telemetry.meter, metrics.PrometheusMeter)
    if metrics.FOLDER in environment:
        yield None
        return
    with metrics.page(telemetry.meter.registry, *metrics.address(settings.metrics)) as url:
        yield url


@contextmanager
def gathered(settings: Settings) -> Iterator[tuple[Gathering | None, str | None]]:
    """What a keeper gives its workers to write their metrics to, and where it shows these."""
    if not settings.metrics:
        yield None, None
        return
    try:
        from regulars_server.telemetry import metrics
    except ImportError as missing:
        tell_missing(missing)
        yield None, None
        return
    with TemporaryDirectory(prefix="regulars-metrics-") as folder:
        gathering = metrics.Gathering(Path(folder))
        with metrics.page(gathering.registry, *metrics.address(settings.metrics)) as url:
            yield gathering, url


def tell_missing(missing: ImportError) -> None:
    log.warning(
        "no metrics and no traces: %s is not installed; pip install 'regulars[server,telemetry]'",
        missing.name,
    )
