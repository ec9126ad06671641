"""`Meter` by prometheus-client, and the page at which Prometheus reads it.

Several workers write into files of one folder (prometheus-client's own way), from which their keeper reads
the page; PROMETHEUS_MULTIPROC_DIR names the folder before the library is imported. Figures of the chain lie
beside these files, as whoever took them last.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from regulars_server.telemetry import Figures
from regulars_server.telemetry.declared import METRICS, Metric
from regulars_sync.errors import LocalError

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
FIGURES = "figures.json"


class PrometheusMeter:
    """One per process. Alone it keeps all in memory, as a worker in the folder of its keeper."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._instruments = {metric.name: self._made(metric) for metric in METRICS if metric.kind != "figure"}
        self._noting: dict[tuple[str, tuple[str, ...]], Callable[[float], None]] = {}
        folder = os.environ.get(FOLDER)
        self._file = None if folder is None else Path(folder) / FIGURES
        self._figures: Figures = ()
        self.registry.register(_FigureCollector(lambda: self._figures))
        ProcessCollector(registry=self.registry)

    def _made(self, metric: Metric) -> Histogram | Counter | Gauge:
        if metric.kind == "histogram":
            return Histogram(
                metric.name, metric.help, metric.labels, buckets=metric.buckets, registry=self.registry
            )
        if metric.kind == "counter":
            return Counter(metric.name, metric.help, metric.labels, registry=self.registry)
        return Gauge(
            metric.name, metric.help, metric.labels, registry=self.registry, multiprocess_mode="livesum"
        )

    def note(self, metric: str, value: float, labels: tuple[str, ...]) -> None:
        noting = self._noting.get((metric, labels))
        if noting is None:
            made = self._instruments[metric]
            child = made.labels(*labels) if labels else made
            noting = child.observe if isinstance(child, Histogram) else child.inc
            self._noting[metric, labels] = noting
        noting(value)

    def publish(self, figures: Figures) -> None:
        self._figures = figures
        if self._file is not None:
            written = self._file.with_name(f"{FIGURES}.{os.getpid()}")
            written.write_text(json.dumps(figures))
            written.replace(self._file)


class _FigureCollector(Collector):
    def __init__(self, read: Callable[[], Figures]) -> None:
        self._read = read

    def collect(self) -> Iterable[GaugeMetricFamily]:
        families = {
            metric.name: GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
            for metric in METRICS
            if metric.kind == "figure"
        }
        for name, labels, value in self._read():
            families[name].add_metric(list(labels), value)
        return families.values()


def address(written: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:9470`, `[::1]:9470`; `LocalError("setting_invalid")`."""
    host, _, port = written.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise LocalError("setting_invalid", name="REGULARS_METRICS", value=written[:80])
    return host, int(port)


def url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}/metrics" if ":" in host else f"http://{host}:{port}/metrics"


@contextlib.contextmanager
def page(registry: CollectorRegistry, host: str, port: int) -> Iterator[str]:
    """Serve the page, on a thread of its own; its URL. `LocalError` address_taken, address_invalid."""
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        code = "address_taken" if error.errno == errno.EADDRINUSE else "address_invalid"
        raise LocalError(code, host=host, port=port, reason=error.strerror) from error
    try:
        yield url(host, server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Gathering:
    """What a keeper tells of all its workers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = CollectorRegistry()
        MultiProcessCollector(self.registry, path=str(folder))  # type: ignore[no-untyped-call]
        self.registry.register(_FigureCollector(self._figures))

    def _figures(self) -> Figures:
        try:
            said = json.loads(self._file.read_text())
        except FileNotFoundError:
            return ()
        return [(name, tuple(labels), value) for name, labels, value in said]

    @property
    def _file(self) -> Path:
        return self.folder / FIGURES

    @property
    def environment(self) -> dict[str, str]:
        """What a worker is to be given."""
        return {FOLDER: str(self.folder)}

    def forget(self, pid: int) -> None:
        """A worker ended: what it had open is no more. What it counted stays."""
        for file in self.folder.glob(f"gauge_live*_{pid}.db"):
            file.unlink(missing_ok=True)
