"""`make outside`: what others wrote for GraphQL, against a real server. Needs node and npm; not in CI.

The programs stand in package.json, pinned, and are installed under build/ at the first run. Each script
says in lines of JSON what it found, and asks here for what only the server's owner can do.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.support.server import ServerProcess

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PLACE = ROOT / "build" / "outside"
SDL = ROOT / "schema" / "schema.graphql"
SUITES = (["ws.mjs"], ["sse.mjs", "distinct"], ["sse.mjs", "single"], ["audit.mjs"], ["codegen.mjs"])

Found = dict[str, Any]


def main() -> int:
    install()
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder) / "data")
        server.start()
        try:
            token = server.run("token", "add", "outside", "--role", "admin")
            found = [line for suite in SUITES for line in results(server, suite, str(token["token"]))]
        finally:
            server.stop()
    table = Table("suite", "check", "", "note")
    for line in found:
        table.add_row(line["suite"], line["check"], "ok" if line["ok"] else "FAILED", line["note"][:200])
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    versions = json.loads((HERE / "package.json").read_text("utf-8"))["dependencies"]
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"node {node}, " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    failed = sum(not line["ok"] for line in found)
    print(f"{len(found) - failed} of {len(found)} on {time.strftime('%d %B %Y')}")
    return 1 if failed else 0


def install() -> None:
    """The scripts and what they need, once for each package.json."""
    PLACE.mkdir(parents=True, exist_ok=True)
    for script in HERE.glob("*.mjs"):
        shutil.copy(script, PLACE)
    wanted, there = HERE / "package.json", PLACE / "package.json"
    if there.exists() and there.read_bytes() == wanted.read_bytes() and (PLACE / "node_modules").exists():
        return
    shutil.copy(wanted, there)
    command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        subprocess.run(command, cwd=PLACE, check=True)
    except BaseException:
        there.unlink()
        raise


def results(server: ServerProcess, suite: list[str], token: str) -> Iterator[Found]:
    """What one script finds, line by line."""
    doomed = server.run("token", "add", "doomed", "--role", "admin")
    scalars = re.findall(r"^scalar (\w+)", SDL.read_text("utf-8"), re.MULTILINE)
    told = {
        "URL_HTTP": f"{server.url}/graphql",
        "URL_WS": f"{server.url.replace('http', 'ws')}/graphql",
        "TOKEN": token,
        "TOKEN_DOOMED": str(doomed["token"]),
        "SDL": str(SDL),
        "SCALARS": json.dumps(dict.fromkeys(scalars, "string")),
    }
    command = ["node", *suite]
    with subprocess.Popen(
        command,
        cwd=PLACE,
        env={**os.environ, **told},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as script:
        assert script.stdin is not None
        assert script.stdout is not None
        for line in script.stdout:
            try:
                said = json.loads(line)
            except json.JSONDecodeError:
                print(line, end="", file=sys.stderr)
                continue
            if "do" not in said:
                yield said
                continue
            if said["do"] == "restart":
                server.kill()
                server.start()
            elif said["do"] == "revoke":
                server.run("token", "revoke", str(doomed["id"]))
            script.stdin.write("done\n")
            script.stdin.flush()
    if script.returncode:
        yield {"suite": suite[0], "check": "ran to its end", "ok": False, "note": f"code {script.returncode}"}


if __name__ == "__main__":
    sys.exit(main())
