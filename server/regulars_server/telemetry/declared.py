"""Every metric there is, as data. docs/METRICS.md is written from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LONG_SECONDS = (0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3_600.0)
COSTS = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)
LAGS_S = (300, 3_600, 86_400, 604_800)
"""A tablet that was heard of so long ago is counted as lagging no more than that."""


@dataclass(frozen=True, slots=True)
class Metric:
    name: str
    kind: Literal["histogram", "counter", "gauge", "figure"]
    """gauge: of each process, added up. figure: of the chain, the same whichever process tells it."""
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


REQUEST = "regulars_request_seconds"
REFUSALS = "regulars_refusals_total"
LINES = "regulars_lines"
VERDICTS = "regulars_verdicts_total"
GRAPHQL = "regulars_graphql_seconds"
GRAPHQL_COST = "regulars_graphql_cost"
STORAGE = "regulars_storage_seconds"
WORK = "regulars_work_seconds"
WAITING = "regulars_waiting_changes"
WAITING_AGE = "regulars_waiting_oldest_seconds"
DEVICE_LAG = "regulars_device_lag_seconds"
DEVICES = "regulars_devices"
WORKS = "regulars_works"
COMMITS = "regulars_commit_seq"
DISK = "regulars_disk_free_bytes"
TAKEN = "regulars_figures_timestamp_seconds"

METRICS = (
    Metric(
        REQUEST,
        "histogram",
        "From a request's arrival to the end of its answer, by route: /sync/v1/push and /sync/v1/pull are "
        "the tablets'. Event streams and sockets are not in it.",
        ("method", "route", "status"),
        SECONDS,
    ),
    Metric(
        REFUSALS,
        "counter",
        "Requests that were refused, by HTTP status and code (docs/ERRORS.md).",
        ("status", "code"),
    ),
    Metric(LINES, "gauge", "Open event streams and sockets.", ("kind",)),
    Metric(
        VERDICTS,
        "counter",
        "What became of changes, whatever road they came by; one that was held and is released counts again.",
        ("verdict", "code"),
    ),
    Metric(
        GRAPHQL,
        "histogram",
        "Running one GraphQL operation, or one event of a subscription.",
        ("kind", "outcome"),
        SECONDS,
    ),
    Metric(GRAPHQL_COST, "histogram", "What an operation cost; a row is 1.", ("kind",), COSTS),
    Metric(
        STORAGE,
        "histogram",
        "One step of storage; `wait` is for the turn to write.",
        ("step", "outcome"),
        SECONDS,
    ),
    Metric(
        WORK,
        "histogram",
        "What the server does by itself or on demand: daily and hourly jobs, exports, imports.",
        ("work", "outcome"),
        LONG_SECONDS,
    ),
    Metric(
        WAITING,
        "figure",
        "Held and rejected changes that nobody closed, by code (`regulars held list`).",
        ("verdict", "code"),
    ),
    Metric(WAITING_AGE, "figure", "The age of the oldest of them.", ("verdict", "code")),
    Metric(
        DEVICE_LAG,
        "figure",
        "For how long each tablet was not heard of; those that lag most, 5,000 at most.",
        ("device",),
    ),
    Metric(
        DEVICES,
        "figure",
        "Tablets that were heard of within so many seconds; +Inf is all that are not shut out.",
        ("within",),
    ),
    Metric(WORKS, "figure", "Exports and imports that wait or run.", ("kind", "state")),
    Metric(COMMITS, "figure", "The seq of the last commit."),
    Metric(DISK, "figure", "Free bytes on the disk of the chain's folder."),
    Metric(TAKEN, "figure", "When the figures of the chain were taken, in Unix seconds."),
)
