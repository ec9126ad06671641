"""The life of a device: invited by a code, enrolled, revoked or ordered to wipe, wiped. The row is what the
chain knows of it, the token in `access` is how it comes in.

A device that is shut out never comes in again: the same tablet is invited anew and is another device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from regulars_schema.declare import JSON, Level
from regulars_server.authors import SERVER, UnitTree
from regulars_server.service import Service
from regulars_server.versions import Expected, require_version
from regulars_sync.errors import Refused
from regulars_sync.ids import ENTROPY_BYTES, uuid7
from regulars_sync.protocol import PairAnswer, PairRequest, WipedAnswer

ORDERS: Mapping[str, Mapping[str, JSON]] = {
    "revoke": {"revoked": True},
    "wipe": {"revoked": True, "wipe": True},
}
"""What the journal calls it -> what then stands in the device's row."""


async def enrol(service: Service, asked: PairRequest, remote: str | None = None) -> PairAnswer:
    """Turn a pairing code into a device with a token; `Refused`: pairing_code_invalid, too_many_tries."""
    invitation = await service.access.redeem(asked.code, remote)
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


async def revoke(service: Service, device: str, expected: Expected | None = None) -> None:
    """From this moment it reads nothing; what it still pushes is held, and then it wipes itself.

    `Refused`: not_found, version_conflict.
    """
    await _shut_out(service, device, "revoke", expected)


async def wipe(service: Service, device: str, expected: Expected | None = None) -> None:
    """It was stolen: whatever it asks next, it is told to delete all it holds. Nothing is taken in any more.

    The order stands for ever, so a copy of the tablet gets it too. `Refused`: not_found, version_conflict.
    """
    await _shut_out(service, device, "wipe", expected)


async def move(service: Service, device: str, unit: str, expected: Expected | None = None) -> None:
    """From now on it is a tablet of another unit; what it still sends about the old one's rows is as of rows
    that left. `Refused`: not_found, version_conflict.
    """
    row = (await _rows(service, [device])).get(device)
    if row is None or unit not in await service.admission.tree():
        raise Refused("not_found", entity="device" if row is None else "unit")
    if row["unit"] == unit:
        return
    fields = {"unit": unit, f"left_units/{row['unit']}": True, f"left_units/{unit}": False}
    change = service.change("edit", "device", device, fields)
    versions = {("device", device): expected} if expected is not None else None
    ((ruling,),) = await service.admission.write(SERVER, [[change]], versions)
    if ruling.code == "version_conflict":
        raise Refused("version_conflict")


async def _shut_out(service: Service, device: str, what: str, expected: Expected | None) -> None:
    row = (await _rows(service, [device])).get(device)
    if row is None:
        raise Refused("not_found", entity="device")
    record = {"do": what, "device": device, "at": service.now_ms()}
    async with service.storage.writer() as writer:  # nobody writes between the look and the word
        if not row.items() >= ORDERS[what].items():
            await require_version(writer, "device", device, expected)
        service.journal.append(record)
    await _carry_out(service, [record])


async def replay(service: Service) -> None:
    """Carry out again what the journal says of devices: the database may be an older one."""
    await _carry_out(service, [record for record in service.journal.records() if record["do"] in ORDERS])


async def _carry_out(service: Service, records: list[dict[str, Any]]) -> None:
    """Make tokens and rows what these records say; what is so already is not touched."""
    orders: dict[str, dict[str, JSON]] = {}
    for record in records:
        orders.setdefault(record["device"], {}).update(ORDERS[record["do"]])
    if not orders:
        return
    for token in await service.access.tokens():
        if token.owner in orders and token.kind == "device" and token.revoked_ms is None:
            await service.access.revoke(token.id)
    for device, row in (await _rows(service, list(orders))).items():
        fields = {name: value for name, value in orders[device].items() if row.get(name) != value}
        if fields:
            await service.admission.write(SERVER, [[service.change("edit", "device", device, fields)]])


async def refusal(service: Service, device: str) -> Refused:
    """What a device that was shut out is told, whatever it asks."""
    row = (await _rows(service, [device])).get(device, {})
    return Refused("device_wipe" if row.get("wipe") else "device_revoked")


async def confirm_wiped(service: Service, device: str) -> WipedAnswer:
    """The device says that nothing is left on it; the first time counts. `Refused("not_allowed")`."""
    row = (await _rows(service, [device])).get(device, {})
    if not row.get("revoked"):
        raise Refused("not_allowed")
    if "wiped_at" not in row:
        row["wiped_at"] = _instant(service.now_ms())
        edit = service.change("edit", "device", device, {"wiped_at": row["wiped_at"]})
        await service.admission.write(SERVER, [[edit]])
    return WipedAnswer(row["wiped_at"])


async def _rows(service: Service, devices: Sequence[str]) -> dict[str, dict[str, Any]]:
    async with service.storage.unscoped_reader() as reader:
        found = await reader.find("device", devices)
    return {id: orjson.loads(row.documents[Level.INTERNAL]) for id, row in found.items()}


def _instant(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
