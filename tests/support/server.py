"""A real `regulars serve` in a process of its own; it may be killed and started again on its folder."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = ("-m", "regulars_server.cli")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ServerProcess:
    """Start, stop and kill; each start waits until the server says where it listens."""

    def __init__(
        self, folder: Path, settings: Mapping[str, str] | None = None, program: Sequence[str] = PROGRAM
    ) -> None:
        self.folder = folder
        self._program = program
        self._settings = dict(settings or {})
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder.parent / "server.log"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, *self._program, "serve", "--json"]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [*command, "--data", str(self.folder), "--port", str(self.port)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={
                    **os.environ,
                    "REGULARS_LOG_LEVEL": "warning",
                    "REGULARS_SNAPSHOT_ROWS_MIN": "1",
                    **self._settings,
                },
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._log.read_text()
        assert self.url in json.loads(line)["urls"]

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def process(self) -> subprocess.Popen[str] | None:
        """Also while it starts."""
        return self._process

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """kill -9: no handler runs, nothing is flushed."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._end()

    def forget(self) -> None:
        """It ended by itself, or could not start."""
        if self._process is not None:
            self._process.kill()
            self._end()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._end()

    def _end(self) -> int:
        assert self._process is not None
        code = self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None
        return code

    def run(self, *arguments: str) -> dict[str, object]:
        """Another command on the same folder, while the server runs or not; what it prints as JSON."""
        done = subprocess.run(
            [sys.executable, "-m", "regulars_server.cli", *arguments, "--data", str(self.folder), "--json"],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, **self._settings},
        )
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        return said if isinstance(said, dict) else {"rows": said}


@contextmanager
def serving(data: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A server on a free port, and what its first line says."""
    command = [sys.executable, "-m", "regulars_server.cli", "serve", "--data", str(data), "--json"]
    process = subprocess.Popen(
        [*command, "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "REGULARS_LOG_LEVEL": "warning"},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield process, json.loads(line)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
