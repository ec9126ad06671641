"""A PostgreSQL to measure on: from the wheel, its files on the same disk as ours, safe at each commit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.server import cpu_ms_of
from regulars_server.app import DATABASE
from regulars_server.storage import copying
from regulars_server.storage.postgres import Address
from tests.support.postgres import Databases, PostgresServer, postgres_server

SETTINGS = {
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "autovacuum": "on",
    "unix_socket_directories": "",
}
_TICK_MS = 1_000 / os.sysconf("SC_CLK_TCK")


class Postgres:
    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._databases = Databases(server.url)

    def cpu_ms(self) -> float:
        """Of all its processes, also of those that have ended."""
        pid = self._server.pid
        parts = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
        ended = (int(parts[13]) + int(parts[14])) * _TICK_MS
        return ended + cpu_ms_of(pid) + sum(map(_cpu_ms_of, self._children()))

    def _children(self) -> list[int]:
        return list(
            map(int, Path(f"/proc/{self._server.pid}/task/{self._server.pid}/children").read_text().split())
        )

    async def copy_of(self, folder: Path) -> str:
        """The address of a copy of the chain in a folder, made as `regulars move` makes it."""
        url = self.new()
        async with (
            copying.from_sqlite(str(folder / DATABASE)) as source,
            copying.to_postgres(Address.parse(url)) as target,
        ):
            await copying.copy(source, target)
        return url

    def new(self) -> str:
        """The address of an empty database."""
        return self._databases.new()

    def copy(self, url: str) -> str:
        """The address of a copy of a database that nobody is connected to."""
        return self._databases.copy(url)

    def drop(self, url: str) -> None:
        self._databases.drop(url)


def _cpu_ms_of(pid: int) -> float:
    try:
        return cpu_ms_of(pid)
    except OSError:  # it has just ended
        return 0.0


@contextmanager
def postgres(place: Path) -> Iterator[Postgres]:
    """A server whose files are below `place`, gone at the end."""
    if os.geteuid() == 0:  # it runs as nobody
        place.chmod(0o755)
    with postgres_server(None, place, **SETTINGS) as server:
        yield Postgres(server)
