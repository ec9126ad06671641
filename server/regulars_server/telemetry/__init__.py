"""What a running server tells of itself: metrics for Prometheus, traces by OpenTelemetry (extra `telemetry`).

The rest of the server says `note` and `span`, and pays for a comparison when nobody listens. Everything that
may be noted is in `declared`. A name, label or attribute is one of our own words, a code, a route, the id of
a device, or the name of an operation: never a value, a variable, a key or a token.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol

Attribute = str | int | float
Figures = Sequence[tuple[str, tuple[str, ...], float]]
"""Metric, labels, value."""


class Span(Protocol):
    def set_attribute(self, key: str, value: Attribute) -> None: ...


class Meter(Protocol):
    """Counts, and keeps the latest figures."""

    def note(self, metric: str, value: float, labels: tuple[str, ...]) -> None:
        """Observe it, or add it: what the metric is declared as."""
        ...

    def publish(self, figures: Figures) -> None:
        """What the chain is like now, in the place of what was published before."""
        ...


class Tracer(Protocol):
    def span(
        self, name: str, said: Mapping[str, Attribute], headers: Mapping[str, str] | None
    ) -> AbstractContextManager[Span]:
        """A span for as long as it is open. With `headers` it is a request's, beneath its `traceparent`."""
        ...

    def close(self) -> None:
        """Send what waits to be sent."""
        ...


class _Silent:
    def set_attribute(self, key: str, value: Attribute) -> None:
        pass


_NOTHING: AbstractContextManager[Span] = nullcontext(_Silent())


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Goes nowhere as it is made by default."""

    meter: Meter | None = None
    tracer: Tracer | None = None

    @property
    def is_on(self) -> bool:
        return self.meter is not None or self.tracer is not None

    def note(self, metric: str, value: float = 1.0, *labels: str) -> None:
        if self.meter is not None:
            self.meter.note(metric, value, labels)

    def span(
        self, name: str, headers: Mapping[str, str] | None = None, **said: Attribute
    ) -> AbstractContextManager[Span]:
        return _NOTHING if self.tracer is None else self.tracer.span(name, said, headers)

    @contextmanager
    def timed(self, metric: str, span: str, *labels: str) -> Iterator[Span]:
        """A span, and its seconds in a metric; `outcome` is its last label: done, failed."""
        begun, outcome = time.perf_counter(), "failed"
        with self.span(span) as told:
            try:
                yield told
                outcome = "done"
            finally:
                self.note(metric, time.perf_counter() - begun, *labels, outcome)

    def close(self) -> None:
        if self.tracer is not None:
            self.tracer.close()


SILENT = Telemetry()
