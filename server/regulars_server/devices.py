"""The life of a device: invited by a code, enrolled, revoked. The row is what the chain knows of it,
the token in `access` is how it comes in."""

from __future__ import annotations

import orjson

from regulars_schema.declare import Level
from regulars_server.authors import SERVER, UnitTree
from regulars_server.service import Service
from regulars_sync.errors import Refused
from regulars_sync.ids import ENTROPY_BYTES, uuid7
from regulars_sync.protocol import PairAnswer, PairRequest


async def enrol(service: Service, asked: PairRequest) -> PairAnswer:
    """Turn a pairing code into a device with a token; `Refused("pairing_code_invalid")`."""
    invitation = await service.access.redeem(asked.code)
    tree = await service.admission.tree()
    if invitation.unit not in tree:  # a command beside this server may just have made it
        async with service.storage.unscoped_reader() as reader:
            tree = await UnitTree.read(reader)
    if invitation.unit not in tree:
        raise Refused("pairing_code_invalid")
    device = uuid7(service.now_ms(), service.entropy(ENTROPY_BYTES))
    name = asked.name.strip()[:80] or invitation.name or "tablet"
    fields = {"name": name, "unit": invitation.unit}
    await service.admission.write(SERVER, [[service.change("create", "device", device, fields)]])
    _, token = await service.access.new_token(
        kind="device",
        label=name,
        role="device",
        units=(invitation.unit,),
        sensitive=invitation.sensitive,
        owner=device,
    )
    return PairAnswer(token, device, invitation.unit, service.storage.chain.id, tree.country(invitation.unit))


async def revoke(service: Service, device: str) -> None:
    """From this moment it reads nothing; what it still pushes is held. `Refused("not_found")`."""
    async with service.storage.unscoped_reader() as reader:
        found = (await reader.find("device", [device])).get(device)
    if found is None:
        raise Refused("not_found", entity="device")
    for token in await service.access.tokens():
        if token.owner == device:
            await service.access.revoke(token.id)
    if not orjson.loads(found.documents[Level.INTERNAL]).get("revoked"):
        edit = service.change("edit", "device", device, {"revoked": True})
        await service.admission.write(SERVER, [[edit]])
