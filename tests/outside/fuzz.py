"""`make fuzz`: schemathesis against a real server, some 2,000 operations for each of three tokens.

It runs in an environment of its own (`build/fuzz`): it needs nothing of the product but its SDL, its
catalogue of codes and the judge. ARGS="--each 3" sends that many for each root field.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2

from bench.hostile import fill
from regulars_server.app import create_service, opened
from regulars_server.settings import Settings
from regulars_server.storage.interface import Order
from tests.support.server import ServerProcess

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "build" / "fuzz" / "bin" / "schemathesis"
EACH = 28
ENDLESS = {"REGULARS_DEVELOPER_COST_MAX": "0", "REGULARS_DEVICE_COST_MAX": "0"}


async def code(folder: Path) -> str:
    """A pairing code for some unit of the chain."""
    async with opened(create_service(Settings(data=folder)), sweep=False) as service:
        async with service.storage.unscoped_reader() as reader:
            *_, branch = await reader.select("unit", None, Order(), 10)
        return await service.access.new_pairing_code(branch.id, "fuzz")


def run(url: str, token: str | None, each: int) -> int:
    command = [str(TOOL), "run", "schema/schema.graphql", "--url", f"{url}/graphql", "--seed", "1"]
    command += ["--checks", "answers_as_promised", "--max-examples", str(each), "--phases", "fuzzing"]
    command += ["--continue-on-failure", "--suppress-health-check", "all"]
    if token:
        command += ["--header", f"Authorization: Bearer {token}"]
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "tests.outside.judge",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'schema'}",
    }
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=EACH)
    each = parser.parse_args().each
    failed = 0
    with TemporaryDirectory() as folder:
        data = Path(folder) / "chain"
        data.mkdir()
        office = asyncio.run(fill(data, 50, 200))
        pairing = asyncio.run(code(data))
        server = ServerProcess(data, ENDLESS)
        server.start()
        try:
            said = {"code": pairing, "name": "fuzz", "schema": 2}
            device = httpx2.post(f"{server.url}/sync/v1/pair", json=said).json()["token"]
            for name, token in (("anonymous", None), ("device", device), ("head office", office)):
                print(f"=== {name}", flush=True)
                failed += run(server.url, token, each) != 0
        finally:
            server.stop()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
