"""Documents made to hurt, sent to a real server: refused at little cost, in little memory, and nobody waits.

Time is that of the server's own CPU, as a multiple of what a million multiplications take in Python at that
moment, so neither a busy machine nor a slow one changes anything: a ping's is what the server did between
taking and answering it. bench/hostile.py measures the same in milliseconds.
"""

from __future__ import annotations

from pathlib import Path

import orjson

from bench.hostile import ENDLESS, Attacked, fill, million_ms, percentile
from regulars_schema.messages import MESSAGES
from tests.support.hostile import BODIES, HOSTILE, LARGE, body_of
from tests.support.server import ServerProcess

COST_MAX = 10.0
"""Most is taken by who asks for ten thousand interactions at once: 4.6."""
PING_MAX = 2.0
GROWTH_KIB_MAX = 50 * 1024
TIMES = 3
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
            before_ms = million_ms()
            noticed = attacked.notice(name, body_of(body), TIMES)
            unit_ms = max(before_ms, million_ms())
            pings += [cpu_ms / unit_ms for _, cpu_ms in noticed.pings]
            codes = {e["extensions"]["code"] for e in orjson.loads(noticed.answer).get("errors", ())}
            assert codes <= set(MESSAGES), name
            if name in HOSTILE:
                assert (noticed.status, codes & REFUSED) != (200, set()), (name, noticed.answer[:300])
                assert noticed.status in {400, 413}, name
            if name in LARGE:
                assert (noticed.status, codes) == (200, set()), (name, noticed.answer[:300])
            assert noticed.cpu_ms / unit_ms < COST_MAX, (name, noticed.cpu_ms, unit_ms)
            assert noticed.grown_kib < GROWTH_KIB_MAX, (name, noticed.grown_kib)
        assert percentile(pings, 0.99) < PING_MAX
        status, answer = attacked.send(body_of({"query": "{ customers(first: 1) { totalCount } }"}))
        assert (status, orjson.loads(answer)["data"]["customers"]["totalCount"]) == (200, 600)
    finally:
        attacked.close()
        assert server.stop() == 0
