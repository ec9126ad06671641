"""`Tracer` by OpenTelemetry, exported by OTLP over HTTP as the standard OTEL_* variables say.

What goes wrong is told by the type of the error alone: its text may hold what a customer wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import context, trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from regulars_server.telemetry import Attribute, Span

TRACEPARENT = TraceContextTextMapPropagator()


class OtelTracer:
    """Spans go to `processor`, or by OTLP to wherever the environment says."""

    def __init__(self, processor: SpanProcessor | None = None) -> None:
        if processor is None:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.trace.export import BatchSpanProcessor

            processor = BatchSpanProcessor(OTLPSpanExporter())
        self._provider = TracerProvider(shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("regulars")

    @contextmanager
    def span(
        self, name: str, said: Mapping[str, Attribute], headers: Mapping[str, str] | None
    ) -> Iterator[Span]:
        above = None if headers is None else TRACEPARENT.extract(headers, context.Context())
        kind = SpanKind.INTERNAL if headers is None else SpanKind.SERVER
        span = self._tracer.start_span(name, above, kind, dict(said))
        with trace.use_span(span, True, record_exception=False, set_status_on_exception=False):
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", getattr(error, "code", None) or type(error).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise

    def close(self) -> None:
        self._provider.shutdown()
