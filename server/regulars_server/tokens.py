"""Tokens of programs: made, rotated, ended by people. Each deed stands in the change log before it is done.

A person's tokens never have more than the person has at the moment of use (`access._principal`), and a person
sees and ends those that they made, head office all. A secret follows from the chain's own and the cid of the
deed: sent again, the same deed tells the same secret, at any server, and nobody stores it.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from regulars_server.access import Principal, Token
from regulars_server.access.access import GRACE_MS
from regulars_server.access.rights import RANKS, rights_of, standing
from regulars_server.service import Service
from regulars_server.settling import Settling
from regulars_sync.errors import Refused
from regulars_sync.ids import row_id
from regulars_sync.log import Entry

ENTITY = "access"
"""What the log calls logins and tokens; no row of the chain is one."""
CODE = "access_changed"
LABEL_CHARS_MAX = 80


@dataclass(frozen=True, slots=True)
class Wanted:
    """A token as it is asked for. `units` None is the whole chain, `scopes` None all rights of the role."""

    label: str
    role: str
    units: tuple[str, ...] | None = None
    sensitive: bool = False
    scopes: tuple[str, ...] | None = None
    expires_ms: int | None = None
    staff: str | None = None
    trusted_only: bool = False


class Tokens:
    """The tokens that one person may see; `by` None is whoever sits at the server's own command line."""

    def __init__(self, service: Service, by: Principal | None) -> None:
        self._service = service
        self._access = service.access
        self._by = by

    async def all(self) -> list[Token]:
        """Those of programs, oldest first."""
        return [token for token in await self._access.tokens() if self._sees(token)]

    async def get(self, id: str) -> Token:
        """`Refused("not_found")`, also for one that is not this person's."""
        token = await self._access.token(id)
        if not self._sees(token):
            raise Refused("not_found", entity="token")
        return token

    async def make(self, wanted: Wanted, cid: str, maker: str | None = None) -> tuple[str, str | None]:
        """Its id and its bearer, None where another bearer followed. `maker` is else who asks.

        `Refused`: argument_invalid (as for more than its maker has), not_found (a unit), idempotency_reused.
        """
        label = wanted.label.strip()
        if not 0 < len(label) <= LABEL_CHARS_MAX:
            raise Refused("argument_invalid", reason=f"A label has 1 to {LABEL_CHARS_MAX} characters.")
        await self._require_within(wanted)
        id = row_id("token", ENTITY, cid)
        given = {"role": wanted.role, "scopes": wanted.scopes, "units": wanted.units}
        await self.say(cid, "token_made", id, label, **given, sensitive=wanted.sensitive)
        _, bearer = await self._access.new_token(
            "developer",
            label,
            wanted.role,
            wanted.units,
            wanted.sensitive,
            wanted.staff,
            wanted.expires_ms,
            wanted.scopes,
            maker if self._by is None else self._by.name,
            wanted.trusted_only,
            id,
            self._secret("make", cid),
        )
        return id, await self._still(bearer)

    async def rotate(self, id: str, cid: str, grace_ms: int = GRACE_MS) -> str | None:
        """The new bearer; the one before serves for `grace_ms` more. `Refused("not_found")`."""
        token = await self.get(id)
        if not await self.say(cid, "token_rotated", id, token.label):
            return None
        return await self._still(await self._access.rotate(id, grace_ms, self._secret("rotate", cid)))

    async def expire(self, id: str, cid: str, at_ms: int) -> None:
        """It ends at this instant. `Refused("not_found")`."""
        token = await self.get(id)
        if await self.say(cid, "token_expires", id, token.label, at=at_ms):
            await self._access.expire(id, at_ms)

    async def revoke(self, id: str, cid: str) -> None:
        """It ends now. Idempotent; `Refused("not_found")`."""
        token = await self.get(id)
        if token.revoked_ms is None:
            await self.say(cid, "token_revoked", id, token.label)
            self._service.journal.append({"do": "revoke_token", "token": id, "at": self._service.now_ms()})
            await self._access.revoke(id)

    def _sees(self, token: Token) -> bool:
        if self._by is None:
            return True
        mine = self._by.standing == "head_office" or token.maker == self._by.name
        return token.kind == "developer" and mine

    async def _require_within(self, wanted: Wanted) -> None:
        tree = await self._service.admission.tree()
        for unit in wanted.units or ():
            if unit not in tree:
                raise Refused("not_found", entity="unit", field="unitIds")
        if self._by is None:
            return
        by, reach = self._by, None if self._by.units is None else tree.below(self._by.units)
        if reach is not None and any(unit not in reach for unit in wanted.units or ()):
            raise Refused("not_found", entity="unit", field="unitIds")
        has = rights_of(standing(by.role, by.units), None, is_program=True)
        beyond = {
            "role": wanted.role in RANKS and RANKS.index(wanted.role) > RANKS.index(by.role),
            "scopes": not has.issuperset(wanted.scopes or ()),
            "sensitive": wanted.sensitive and not by.sensitive,
        }
        for what, is_beyond in beyond.items():
            if is_beyond:
                raise Refused("argument_invalid", reason=f"A token has no more than its maker: {what}.")

    async def _still(self, bearer: str) -> str | None:
        """The bearer while it is the one that serves."""
        return bearer if await self._access.is_latest(bearer) else None

    def _secret(self, deed: str, cid: str) -> bytes:
        return hmac.digest(self._service.storage.chain.secret, f"token {deed} {cid}".encode(), "sha256")

    async def say(self, cid: str, did: str, id: str, name: str, **more: Any) -> bool:
        """Write into the log what is about to be done to a token or login, and by whom; once under a cid.

        False when it stood there already and something else was done since: then it is not done again.
        `Refused("idempotency_reused")` when the cid was used for something else.
        """
        service, by = self._service, self._by
        told: dict[str, Any] = {"did": did, "name": name, "by": None if by is None else by.name}
        told |= {key: _plain(value) for key, value in more.items() if value is not None}
        entry = Entry(
            cid=cid,
            group=cid,
            entity=ENTITY,
            id=id,
            verdict="applied",
            code=CODE,
            detail=told,
            actor=None if by is None else by.staff,
            closed=True,
            at_ms=service.now_ms(),
        )

        async def work(settling: Settling) -> bool:
            known = (await settling.writer.entries({cid})).get(cid)
            if known is None:
                settling.append(entry)
                return True
            if (known.entity, known.id, known.detail) != (ENTITY, id, told):
                raise Refused("idempotency_reused")
            return (await settling.writer.history(ENTITY, id))[-1].cid == cid

        return await service.admission.transact(work)

    async def told(self, id: str) -> list[Entry]:
        """What was done to a token, oldest first. `Refused("not_found")`."""
        await self.get(id)
        async with self._service.storage.unscoped_reader() as reader:
            return await reader.history(ENTITY, id)


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, Iterable) and not isinstance(value, str) else value


async def shut_login(service: Service, name: str) -> None:
    """Let a login in no more, and end its sessions. `Refused("not_found")`."""
    name = (await service.access.find_login(name)).name
    service.journal.append({"do": "shut_login", "login": name, "at": service.now_ms()})
    await service.access.deactivate(name)


async def open_login(service: Service, name: str) -> None:
    """Let it in again, with the password it had. `Refused("not_found")`."""
    name = (await service.access.find_login(name)).name
    service.journal.append({"do": "open_login", "login": name, "at": service.now_ms()})
    await service.access.activate(name)


async def replay(service: Service) -> None:
    """Carry out again what the journal says of tokens and logins: the database may be an older one."""
    revoked: set[str] = set()
    is_open: dict[str, bool] = {}
    for record in service.journal.records():
        match record["do"]:
            case "revoke_token":
                revoked.add(record["token"])
            case "shut_login" | "open_login" as said:
                is_open[record["login"]] = said == "open_login"
    if revoked:
        for token in await service.access.tokens():
            if token.id in revoked and token.revoked_ms is None:
                await service.access.revoke(token.id)
    if is_open:
        for login in await service.access.logins():
            if login.active and not is_open.get(login.name, True):
                await service.access.deactivate(login.name)
