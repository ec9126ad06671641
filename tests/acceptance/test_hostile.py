"""Documents made to hurt, sent to a real server: refused at little cost, in little memory, and nobody waits.

Time is that of the server's own CPU, so a busy machine changes nothing: a ping's is what the server
did between taking and answering it. bench/hostile.py measures the same in wall time.
"""

from __future__ import annotations

from pathlib import Path

import orjson

from bench.hostile import ENDLESS, Attacked, fill, percentile
from regulars_schema.messages import MESSAGES
from tests.support.hostile import BODIES, HOSTILE, LARGE, body_of
from tests.support.server import ServerProcess

CPU_MS_MAX = 350
"""Most is taken by who asks for the whole schema, or for ten thousand interactions, at once."""
PING_MS_MAX = 100
GROWTH_KIB_MAX = 50 * 1024
TIMES = 2
REFUSED = {"query_too_large", "argument_invalid", "body_too_large"}


async def test_no_request_holds_a_server(tmp_path: Path):
    folder = tmp_path / "chain"
    folder.mkdir()
    token = await fill(folder, customers=600, interactions=12_000)
    server = ServerProcess(folder, ENDLESS)
    server.start()
    attacked = Attacked(server, token)
    try:
        attacked.send(body_of(LARGE["250 customers"]))
        pings: list[float] = []
        for name, body in {**{n: {"query": text} for n, text in HOSTILE.items()}, **BODIES, **LARGE}.items():
            noticed = attacked.notice(name, body_of(body), TIMES)
            pings += [cpu_ms for _, cpu_ms in noticed.pings]
            codes = {e["extensions"]["code"] for e in orjson.loads(noticed.answer).get("errors", ())}
            assert codes <= set(MESSAGES), name
            if name in HOSTILE:
                assert (noticed.status, codes & REFUSED) != (200, set()), (name, noticed.answer[:300])
                assert noticed.status in {400, 413}, name
            if name in LARGE:
                assert (noticed.status, codes) == (200, set()), (name, noticed.answer[:300])
            assert noticed.cpu_ms < CPU_MS_MAX, (name, noticed.cpu_ms)
            assert noticed.grown_kib < GROWTH_KIB_MAX, (name, noticed.grown_kib)
        assert percentile(pings, 0.99) < PING_MS_MAX
        status, answer = attacked.send(body_of({"query": "{ customers(first: 1) { totalCount } }"}))
        assert (status, orjson.loads(answer)["data"]["customers"]["totalCount"]) == (200, 600)
    finally:
        attacked.close()
        assert server.stop() == 0
