"""Every setting, read once from the environment into one frozen object. Each is in docs/SETTINGS.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from regulars_sync.errors import LocalError


@dataclass(frozen=True, slots=True)
class Settings:
    """The defaults work: `regulars serve --data DIR` needs nothing else."""

    data: Path = Path("regulars-data")
    """The folder of the chain's database. REGULARS_DATA"""
    database: str = ""
    """A PostgreSQL database instead of a file in the folder: `postgresql://user@host/name?schema=songhe`;
    the folder keeps journal and snapshots. REGULARS_DATABASE"""
    reports_database: str = ""
    """A replica of that database for exports, and for queries of whoever may only read.
    REGULARS_REPORTS_DATABASE"""
    reports_lag_s_max: int = 10
    """How far behind it may be for such queries; else the primary answers. REGULARS_REPORTS_LAG_S_MAX"""
    host: str = "127.0.0.1"
    """The address to listen at; 0.0.0.0 for all. REGULARS_HOST"""
    port: int = 8470
    """The port to listen at. REGULARS_PORT"""
    body_bytes_max: int = 8 * 1024 * 1024
    """The largest request body, before and after decompression. REGULARS_BODY_BYTES_MAX"""
    bodies_bytes_max: int = 64 * 1024 * 1024
    """The most bytes that request bodies of one kind may hold in memory together, as they came.
    REGULARS_BODIES_BYTES_MAX"""
    body_seconds_max: int = 120
    """A body that takes longer than so many seconds to come is given up. REGULARS_BODY_SECONDS_MAX"""
    pushes_at_once: int = 2
    """How many pushes of tablets are worked on at once. REGULARS_PUSHES_AT_ONCE"""
    pushes_waiting_max: int = 64
    """How many more may wait for their turn; who comes then is told when to come again.
    REGULARS_PUSHES_WAITING_MAX"""
    pulls_at_once: int = 2
    """How many pulls of tablets are worked on at once. REGULARS_PULLS_AT_ONCE"""
    pulls_waiting_max: int = 128
    """How many more may wait. REGULARS_PULLS_WAITING_MAX"""
    queries_at_once: int = 16
    """How many GraphQL requests and look-ups are worked on at once. REGULARS_QUERIES_AT_ONCE"""
    queries_waiting_max: int = 256
    """How many more may wait. REGULARS_QUERIES_WAITING_MAX"""
    drain_seconds: int = 0
    """For so long a server that is told to stop goes on, while /readyz says 503: a balancer looks there and
    sends to others from then on. REGULARS_DRAIN_SECONDS"""
    page_rows_max: int = 2_000
    """The most rows in one page of a pull. REGULARS_PAGE_ROWS_MAX"""
    query_bytes_max: int = 64 * 1024
    """The largest GraphQL document. REGULARS_QUERY_BYTES_MAX"""
    query_tokens_max: int = 4_000
    """The most tokens in a GraphQL document. REGULARS_QUERY_TOKENS_MAX"""
    query_depth_max: int = 12
    """How deep a GraphQL selection may go. REGULARS_QUERY_DEPTH_MAX"""
    query_cost_max: int = 10_000
    """The most that one GraphQL operation may cost; a row is 1. REGULARS_QUERY_COST_MAX"""
    query_seconds_max: int = 10
    """After so many seconds a GraphQL operation is given up. REGULARS_QUERY_SECONDS_MAX"""
    answer_bytes_max: int = 16 * 1024 * 1024
    """The largest answer of GraphQL. REGULARS_ANSWER_BYTES_MAX"""
    session_cost_max: int = 20_000
    """What a person's session may spend at once; 0 is no limit. REGULARS_SESSION_COST_MAX"""
    session_cost_per_s: int = 1_000
    """What comes back to it in a second. REGULARS_SESSION_COST_PER_S"""
    device_cost_max: int = 20_000
    """What a tablet may spend at once; 0 is no limit. REGULARS_DEVICE_COST_MAX"""
    device_cost_per_s: int = 500
    """What comes back to it in a second. REGULARS_DEVICE_COST_PER_S"""
    developer_cost_max: int = 40_000
    """What a developer's token may spend at once; 0 is no limit. REGULARS_DEVELOPER_COST_MAX"""
    developer_cost_per_s: int = 2_000
    """What comes back to it in a second. REGULARS_DEVELOPER_COST_PER_S"""
    lines_max: int = 10_000
    """The most sockets and event streams that are open at once. REGULARS_LINES_MAX"""
    lines_per_token_max: int = 100
    """The most of them for one token. REGULARS_LINES_PER_TOKEN_MAX"""
    listeners_max: int = 20_000
    """The most tablets that listen for wake-ups at once. REGULARS_LISTENERS_MAX"""
    line_operations_max: int = 50
    """The most GraphQL operations under way on one of them. REGULARS_LINE_OPERATIONS_MAX"""
    token_days: int = 90
    """After how many days a tablet is asked to take another token. REGULARS_TOKEN_DAYS"""
    snapshot_rows_min: int = 2_000
    """With fewer rows a tablet's first sync goes by pages, not by a snapshot. REGULARS_SNAPSHOT_ROWS_MIN"""
    snapshot_files_max: int = 100
    """The most snapshots that are kept. REGULARS_SNAPSHOT_FILES_MAX"""
    snapshot_bytes_max: int = 4 * 1024 * 1024 * 1024
    """The most bytes that snapshots may take. REGULARS_SNAPSHOT_BYTES_MAX"""
    departures_days: int = 400
    """For how many days departures are kept; a tablet that was away longer syncs anew.
    REGULARS_DEPARTURES_DAYS"""
    backup_days: int = 30
    """How old a backup may be that is restored: so long tablets keep what they have handed in.
    REGULARS_BACKUP_DAYS"""
    answers_hours: int = 48
    """For how many hours the answer of a mutation is kept, should it be sent again. REGULARS_ANSWERS_HOURS"""
    works_days: int = 7
    """For how many days an export, an upload and what an import tells are kept. REGULARS_WORKS_DAYS"""
    works_folder: str = ""
    """Where exports and uploads lie: a folder that all servers of a chain share. Without it each has its
    own, in its data folder. REGULARS_WORKS_FOLDER"""
    works_bytes_max: int = 4 * 1024 * 1024 * 1024
    """The most bytes that exports and uploads may take together. REGULARS_WORKS_BYTES_MAX"""
    export_bytes_max: int = 1024 * 1024 * 1024
    """The most bytes of one export. REGULARS_EXPORT_BYTES_MAX"""
    upload_bytes_max: int = 256 * 1024 * 1024
    """The most bytes of one upload. REGULARS_UPLOAD_BYTES_MAX"""
    lookups_per_hour: int = 60
    """How often one tablet or token may look a customer up in an hour. REGULARS_LOOKUPS_PER_HOUR"""
    introspection: str = "developer,head_office"
    """Who is told the schema, by introspection and in errors: developer (a program's token), head_office,
    manager, clerk, analyst, device, all. REGULARS_INTROSPECTION"""
    trusted_only: str = ""
    """Who may send trusted documents alone, by the same names. REGULARS_TRUSTED_ONLY"""
    origins: str = ""
    """Sites whose pages may use this server, such as `https://desk.example`, with commas. REGULARS_ORIGINS"""
    ide: bool = True
    """Whether the GraphQL page is served. REGULARS_IDE"""
    metrics: str = ""
    """Where Prometheus reads metrics, such as `127.0.0.1:9470`: an address and port of its own, never the
    server's, and not for everybody. Without it nothing is counted. REGULARS_METRICS"""
    log_level: str = "info"
    """debug, info, warning or error. REGULARS_LOG_LEVEL"""

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """The settings of this environment; `LocalError("setting_invalid")` names what can't be read."""
        given: dict[str, object] = {}
        for field in fields(cls):
            name = f"REGULARS_{field.name.upper()}"
            text = environment.get(name)
            if text is None:
                continue
            default = field.default
            try:
                if isinstance(default, bool):
                    given[field.name] = {"1": True, "true": True, "0": False, "false": False}[text.lower()]
                elif isinstance(default, int):
                    given[field.name] = int(text)
                else:
                    given[field.name] = Path(text) if isinstance(default, Path) else text
            except (ValueError, KeyError):
                raise LocalError("setting_invalid", name=name, value=text[:80]) from None
        return cls(**given)  # type: ignore[arg-type]
