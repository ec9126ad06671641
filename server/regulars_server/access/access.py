"""Who may come in. Every request shows a bearer token; this says who that is, and what was granted.

    a person      login(name, password)                -> a session of twelve hours
    a tablet      redeem(code) gives the invitation; whoever makes the device row makes its token
    a program     new_token("developer", ...)

What ends a right ends it at once in this process, and in other processes on the same database within
`KEPT_MS`: for so long a `Principal` is answered from memory, which keeps look-ups off the hot path.
Wrong passwords and codes are counted in the database, for all of them together.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tortoise.exceptions import IntegrityError
from tortoise.expressions import F, Q

from regulars_schema.entities import STAFF_ROLE
from regulars_server.access import bearers
from regulars_server.access.bearers import Kind
from regulars_server.access.counts import SharedCounts
from regulars_server.access.documents import TrustedDocuments
from regulars_server.access.models import Database, LoginRow, PairingRow, PostgresDatabase, TokenRow
from regulars_server.access.passwords import Argon2, Passwords, check_name, check_password, plain_name
from regulars_server.access.rights import EXPORT, OF_PEOPLE, RANKS, READS, RIGHTS, rights_of, standing
from regulars_server.access.throttle import Throttle, remote_keys
from regulars_sync.errors import Refused
from regulars_sync.ids import ENTROPY_BYTES, uuid7

KEPT_MS = 800
KEPT_MAX = 10_000
BEARERS_AT_ONCE = 400
SESSION_MS = 12 * 3_600_000
SESSION_FORGET_MS = 30 * 86_400_000
LAST_USED_EVERY_MS = 60_000
GRACE_MS = 86_400_000
PAIRING_MINUTES = 15
PAIRING_TRIES_MAX = 5
CODE_DIGITS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""Without 0 O 1 I L, which are misread."""
CODE_HALF = 4
DEVICE_ROLE = "device"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a bearer stands for."""

    token: str
    kind: Kind
    role: str
    """A role of staff, or `device`."""
    units: tuple[str, ...] | None
    """As granted, regions unresolved; None is the whole chain."""
    sensitive: bool
    staff: str | None
    device: str | None
    revoked: bool
    """Only ever true of a device, which may still hand in what it holds."""
    name: str
    issued_ms: int = 0
    """Since when its bearer is in use; 0 for one that was replaced and serves for its grace."""
    scopes: tuple[str, ...] | None = None
    """The rights that a program was given of its role's; None is all of them."""
    within: tuple[str, ...] | None = None
    """The units of whoever made it, where `units` says less than all: it reaches what lies in both."""
    trusted_only: bool = False
    """Whether it may send nothing but trusted documents."""

    @property
    def standing(self) -> str:
        """A row of `rights.ROLES`."""
        return standing(self.role, self.units)

    @property
    def rights(self) -> frozenset[str]:
        return rights_of(self.standing, self.scopes, self.kind == "developer")

    @property
    def only_reads(self) -> bool:
        """Whether nothing that it reads is what it wrote. A tablet writes by another road."""
        return self.device is None and self.rights <= READS | {EXPORT}

    def require(self, right: str) -> None:
        """`Refused`: not_allowed (the role has it not), scope_missing (the token was not given it)."""
        if right and right not in self.rights:
            if right in rights_of(self.standing, None, self.kind == "developer"):
                raise Refused("scope_missing", scope=right)
            raise Refused("not_allowed")


@dataclass(frozen=True, slots=True)
class Login:
    name: str
    role: str
    staff: str | None
    units: tuple[str, ...] | None
    sensitive: bool
    active: bool


@dataclass(frozen=True, slots=True)
class Token:
    """What may be shown of a token; its bearer is shown once, when it is made."""

    id: str
    kind: Kind
    owner: str | None
    """A device's id, a developer token's member of staff, a session's login."""
    label: str
    role: str
    units: tuple[str, ...] | None
    sensitive: bool
    created_ms: int
    expires_ms: int | None
    last_used_ms: int | None
    revoked_ms: int | None
    scopes: tuple[str, ...] | None = None
    maker: str | None = None
    trusted_only: bool = False


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a pairing code promises."""

    unit: str
    name: str
    sensitive: bool


@dataclass(slots=True)
class _Kept:
    principal: Principal
    since_ms: int
    until_ms: int
    last_used_ms: int | None


class Access:
    """The logins, tokens and pairing codes of one chain.

    `database` is the path of the chain's SQLite file, or says where its PostgreSQL schema is; the tables of
    `ACCESS_DDL` must be there. Objects on different databases share nothing; one object serves one event loop
    at a time.
    """

    def __init__(
        self,
        database: str | Path | PostgresDatabase,
        *,
        now_ms: Callable[[], int],
        entropy: Callable[[int], bytes],
        argon2: Argon2 = Argon2(),  # noqa: B008 (frozen)
        busy_ms: int = 5_000,
    ) -> None:
        self._database = Database(database, busy_ms)
        self._now_ms = now_ms
        self._entropy = entropy
        self.documents = TrustedDocuments(self._database, now_ms)
        self._passwords = Passwords(argon2, entropy)
        self.counts = SharedCounts(self._database, now_ms)
        self._throttle = Throttle(self.counts, now_ms)
        self._kept: dict[str, _Kept] = {}
        self._forgotten = 0
        self._unsaved: dict[str, int] = {}
        self._saving: asyncio.Task[None] | None = None

    @property
    def database(self) -> Database:
        """Its connections, for what else is kept beside the chain's rows."""
        return self._database

    async def open(self) -> None:
        await self._passwords.open()
        await self._database.open()

    async def close(self) -> None:
        """Write the last uses, then close. Idempotent."""
        await self.flush()
        self._forget()
        self._passwords.close()
        await self._database.close()

    # --- logins of people -------------------------------------------------------------------------

    async def add_login(
        self,
        name: str,
        password: str,
        role: str,
        staff: str | None = None,
        units: Iterable[str] | None = None,
        sensitive: bool = False,
    ) -> Login:
        """`Refused("argument_invalid")` when the name is taken or name, password or role can't be had."""
        name = plain_name(name)
        check_name(name)
        check_password(password, name)
        _check_role(role, STAFF_ROLE.values)
        row = LoginRow(
            name=name,
            staff=staff,
            role=role,
            password=await self._passwords.hash(password),
            generation=0,
            units=_written(units),
            sensitive=sensitive,
            active=True,
        )
        try:
            async with self._database.writer() as db:
                await row.save(using_db=db, force_create=True)
        except IntegrityError as error:
            raise Refused("argument_invalid", reason=f"There is a login “{name}” already.") from error
        return _login(row)

    async def logins(self) -> list[Login]:
        async with self._database.reader() as db:
            return [_login(row) for row in await LoginRow.all(db).order_by("name")]

    async def set_password(self, name: str, password: str) -> None:
        """Take a new password and end every session of the login. `Refused("not_found")`."""
        name = plain_name(name)
        check_password(password, name)
        await self._change_login(name, password=await self._passwords.hash(password))

    async def change_login(
        self,
        name: str,
        role: str,
        units: Iterable[str] | None,
        sensitive: bool,
        staff: str | None,
    ) -> None:
        """Give a login other rights and end its sessions; its tokens have no more than these from now on.

        `Refused`: not_found, argument_invalid.
        """
        _check_role(role, STAFF_ROLE.values)
        name = plain_name(name)
        await self._change_login(name, role=role, units=_written(units), sensitive=sensitive, staff=staff)

    async def find_login(self, name: str) -> Login:
        """`Refused("not_found")`."""
        async with self._database.reader() as db:
            row = await LoginRow.get_or_none(name=plain_name(name), using_db=db)
        if row is None:
            raise Refused("not_found", entity="login")
        return _login(row)

    async def deactivate(self, name: str) -> None:
        """Let the login in no more, and end its sessions. `Refused("not_found")`."""
        await self._change_login(plain_name(name), active=False)

    async def activate(self, name: str) -> None:
        """Let the login in again, with the password it had. `Refused("not_found")`."""
        await self._change_login(plain_name(name), active=True)

    async def _change_login(self, name: str, **columns: object) -> None:
        """Change a login; the same statement ends its sessions, which name the generation they began in."""
        try:
            async with self._database.writer() as db:
                changed = await (
                    LoginRow.filter(name=name).using_db(db).update(generation=F("generation") + 1, **columns)
                )
                # Only so that a list of tokens shows it.
                await (
                    TokenRow.filter(kind="session", owner=name, revoked_ms__isnull=True)
                    .using_db(db)
                    .update(revoked_ms=self._now_ms())
                )
        finally:
            self._forget()
        if not changed:
            raise Refused("not_found", entity="login")

    async def login(self, name: str, password: str, remote: str | None = None) -> tuple[Principal, str]:
        """Begin a session of twelve hours: who it is, and the bearer.

        `Refused("login_failed")` is the same, after the same work, for a wrong password, an unknown name
        and a deactivated login. `Refused("too_many_tries")` after five wrong ones for this name or from
        this address; a try that is still being checked counts as wrong.
        """
        name, now = plain_name(name), self._now_ms()
        by_name, by_remote = ("name", name), remote_keys(remote)
        await self._throttle.take([by_name, *by_remote])
        async with self._database.reader() as db:
            row = await LoginRow.get_or_none(name=name, active=True, using_db=db)
        if not await self._passwords.fits(password, row.password if row else None) or row is None:
            raise Refused("login_failed")
        await self._throttle.forgive(by_name)
        for key in by_remote:
            await self._throttle.give_back(key)
        async with self._database.writer() as db:
            if self._passwords.is_dated(row.password):
                fresh = await self._passwords.hash(password)
                await LoginRow.filter(name=name, password=row.password).using_db(db).update(password=fresh)
            await (
                TokenRow.filter(kind="session", expires_ms__lt=now - SESSION_FORGET_MS).using_db(db).delete()
            )
        bearer = bearers.write("session", self._entropy(bearers.SECRET_BYTES))
        token = await self._add_token(
            "session",
            bearer,
            generation=row.generation,
            label=name,
            role=row.role,
            units=row.units,
            sensitive=row.sensitive,
            owner=name,
            expires_ms=now + SESSION_MS,
        )
        return _principal(token, row, token.digest), bearer

    # --- tokens -------------------------------------------------------------------------------------

    async def new_token(
        self,
        kind: Kind,
        label: str,
        role: str,
        units: Iterable[str] | None,
        sensitive: bool,
        owner: str | None = None,
        expires_ms: int | None = None,
        scopes: Iterable[str] | None = None,
        maker: str | None = None,
        trusted_only: bool = False,
        id: str | None = None,
        secret: bytes | None = None,
    ) -> tuple[str, str]:
        """A token for a device (`owner` is its id) or a program (`owner`: the member of staff it acts for).

        Gives its id and its bearer, which is told this once; with `id` and `secret` it is made once, however
        often it is asked for. `maker` is the login whose rights it never exceeds.
        `Refused`: argument_invalid, idempotency_reused (another token has this id).
        """
        if kind == "device":
            _check_role(role, [DEVICE_ROLE])
            if not owner:
                raise Refused("argument_invalid", reason="A device's token needs the device's id.")
        elif kind == "developer":
            _check_role(role, STAFF_ROLE.values)
            _check_scopes(scopes)
        else:
            raise Refused("argument_invalid", reason="A session begins with a login.")
        bearer = bearers.write(kind, secret or self._entropy(bearers.SECRET_BYTES))
        given: dict[str, Any] = {
            "label": label,
            "role": role,
            "units": _written(units),
            "sensitive": sensitive,
            "owner": owner,
            "expires_ms": expires_ms,
            "scopes": _written(scopes),
            "maker": maker,
            "trusted_only": trusted_only,
        }
        try:
            row = await self._add_token(kind, bearer, id, **given)
        except IntegrityError as error:
            async with self._database.reader() as db:
                known = await TokenRow.get_or_none(id=id, using_db=db)
            if known is None or any(getattr(known, name) != value for name, value in given.items()):
                raise Refused("idempotency_reused") from error
            row = known
        return row.id, bearer

    async def _add_token(
        self, kind: Kind, bearer: str, id: str | None = None, generation: int = 0, **columns: object
    ) -> TokenRow:
        now = self._now_ms()
        row = TokenRow(
            id=id or uuid7(now, self._entropy(ENTROPY_BYTES)),
            kind=kind,
            digest=bearers.digest(bearer),
            generation=generation,
            created_ms=now,
            **columns,
        )
        async with self._database.writer() as db:
            await row.save(using_db=db, force_create=True)
        return row

    async def principal(self, bearer: str | None) -> Principal:
        """Whom this bearer stands for. `Refused("token_missing")`, `Refused("token_invalid")`.

        A revoked device is told by `revoked`; every other token that was revoked or has expired, and a
        session whose login was deactivated or given another password, is `token_invalid`.
        """
        if not bearer:
            raise Refused("token_missing")
        if not bearers.is_whole(bearer):
            raise Refused("token_invalid")
        digest, now = bearers.digest(bearer), self._now_ms()
        kept = self._kept.get(digest)
        if kept is None or not kept.since_ms <= now < kept.until_ms:
            kept = await self._look_up(digest, now)
        if kept.last_used_ms is None or now - kept.last_used_ms >= LAST_USED_EVERY_MS:
            kept.last_used_ms = now
            self._note_use(kept.principal.token, now)
        return kept.principal

    async def _look_up(self, digest: str, now: int) -> _Kept:
        forgotten = self._forgotten
        async with self._database.reader() as db:
            row = await TokenRow.get_or_none(
                Q(digest=digest) | Q(former=digest, former_until_ms__gt=now), using_db=db
            )
            login = None
            if row and row.kind == "session":
                login = await LoginRow.get_or_none(
                    name=row.owner, active=True, generation=row.generation, using_db=db
                )
            elif row and row.maker:
                login = await LoginRow.get_or_none(name=row.maker, active=True, using_db=db)
        self._kept.pop(digest, None)
        if row is None or not _serves(row, login, now):
            raise Refused("token_invalid")
        ends = [row.expires_ms, row.former_until_ms if row.former == digest else None]
        until = min([now + KEPT_MS, *(end for end in ends if end is not None)])
        kept = _Kept(_principal(row, login, digest), now, until, row.last_used_ms)
        # What was read before something ended must not be kept after it.
        if forgotten == self._forgotten:
            if len(self._kept) >= KEPT_MAX:
                self._kept.clear()
            self._kept[digest] = kept
        return kept

    async def standing(self, token: str) -> Principal:
        """Whom a token stands for at this moment, by its id: for work that goes on without its bearer.

        `Refused("token_invalid")` when it may come in no more, a revoked device too.
        """
        async with self._database.reader() as db:
            row = await TokenRow.get_or_none(id=token, using_db=db)
            name = None if row is None else _login_of(row)
            login = None
            if name is not None:
                login = await LoginRow.get_or_none(name=name, active=True, using_db=db)
        if row is not None and row.kind == "session" and login and login.generation != row.generation:
            login = None
        if row is None or row.revoked_ms is not None or not _serves(row, login, self._now_ms()):
            raise Refused("token_invalid")
        return _principal(row, login, row.digest)

    async def principals(self, asked: Iterable[str]) -> dict[str, Principal]:
        """Whom these bearers stand for at this moment, read anew; whoever may come in no more is missing.

        Two statements for a few hundred of them. A use is not noted.
        """
        found: dict[str, Principal] = {}
        todo = {bearers.digest(bearer): bearer for bearer in asked}
        now = self._now_ms()
        while todo:
            part = dict(todo.popitem() for _ in range(min(len(todo), BEARERS_AT_ONCE)))
            wanted = list(part)
            async with self._database.reader() as db:
                rows = await TokenRow.filter(
                    Q(digest__in=wanted) | Q(former__in=wanted, former_until_ms__gt=now)
                ).using_db(db)
                names = {name for row in rows if (name := _login_of(row)) is not None}
                logins = await LoginRow.filter(name__in=names, active=True).using_db(db) if names else []
            by_name = {login.name: login for login in logins}
            for row in rows:
                login = by_name.get(_login_of(row) or "")
                if login is not None and row.kind == "session" and login.generation != row.generation:
                    login = None
                if row.revoked_ms is None and _serves(row, login, now):
                    for digest in part.keys() & {row.digest, row.former}:
                        if digest == row.digest or (row.former_until_ms or 0) > now:
                            found[part[digest]] = _principal(row, login, digest)
        return found

    async def revoke(self, id: str) -> None:
        """End a token: here at once, elsewhere within `KEPT_MS`. Idempotent; `Refused("not_found")`."""
        try:
            async with self._database.writer() as db:
                ended = await (
                    TokenRow.filter(id=id, revoked_ms__isnull=True)
                    .using_db(db)
                    .update(revoked_ms=self._now_ms())
                )
        finally:
            self._forget()
        if not ended:
            await self.token(id)

    async def rotate(self, id: str, grace_ms: int = GRACE_MS, secret: bytes | None = None) -> str:
        """Give a token another bearer; the present one still serves for `grace_ms`, an older one no more.

        The id stays, so what was sent under the old bearer and is sent again is known again. With the same
        `secret` it is done once. `Refused("not_found")` when there is no such token, or it was revoked.
        """
        kind = (await self.token(id)).kind
        if kind == "session":
            raise Refused("argument_invalid", reason="A session is not renewed; sign in again.")
        bearer = bearers.write(kind, secret or self._entropy(bearers.SECRET_BYTES))
        try:
            async with self._database.writer() as db:
                digest = bearers.digest(bearer)
                living = TokenRow.filter(id=id, revoked_ms__isnull=True).using_db(db)
                known = await living.get_or_none(digest=digest)
                changed = (
                    1
                    if known is not None
                    else await living.update(
                        former=F("digest"), former_until_ms=self._now_ms() + grace_ms, digest=digest
                    )
                )
        finally:
            self._forget()
        if not changed:
            raise Refused("not_found", entity="token")
        return bearer

    async def expire(self, id: str, at_ms: int) -> None:
        """Let a token end at this instant instead. `Refused("not_found")`: none, or it was revoked."""
        try:
            async with self._database.writer() as db:
                changed = await (
                    TokenRow.filter(id=id, revoked_ms__isnull=True).using_db(db).update(expires_ms=at_ms)
                )
        finally:
            self._forget()
        if not changed:
            raise Refused("not_found", entity="token")

    async def renew(self, bearer: str, secret: bytes, grace_ms: int = GRACE_MS) -> str:
        """The bearer that follows a device's, which still serves for `grace_ms`.

        It follows from the present one and the chain's secret, so whoever asks again because the answer
        was lost, or much later, gets the same one. `Refused`: token_invalid, not_allowed.
        """
        principal = await self.principal(bearer)
        if principal.device is None or principal.revoked:
            raise Refused("not_allowed")
        present = bearers.digest(bearer)
        fresh = bearers.write("device", hmac.digest(secret, b"renew " + bearer.encode(), "sha256"))
        try:
            async with self._database.writer() as db:
                await (
                    TokenRow.filter(id=principal.token, digest=present, revoked_ms__isnull=True)
                    .using_db(db)
                    .update(
                        former=present,
                        former_until_ms=self._now_ms() + grace_ms,
                        digest=bearers.digest(fresh),
                    )
                )
        finally:
            self._forget()
        await self.principal(fresh)  # `token_invalid` where another bearer than this one followed
        return fresh

    async def tokens(self) -> list[Token]:
        """Every token, oldest first; sessions too, until a month after their end."""
        async with self._database.reader() as db:
            return [_token(row) for row in await TokenRow.all(db).order_by("created_ms", "id")]

    async def token(self, id: str) -> Token:
        """`Refused("not_found")` when there is none."""
        async with self._database.reader() as db:
            row = await TokenRow.get_or_none(id=id, using_db=db)
        if row is None:
            raise Refused("not_found", entity="token")
        return _token(row)

    async def is_latest(self, bearer: str) -> bool:
        """Whether a token serves under this bearer and no other followed it. To ask is no use of it."""
        async with self._database.reader() as db:
            return await TokenRow.exists(digest=bearers.digest(bearer), revoked_ms__isnull=True, using_db=db)

    async def flush(self) -> None:
        """Wait until the last uses that are known by now are written, or could not be.

        Before an event loop ends under an object that goes on in another one, this is due.
        """
        if self._saving is not None and self._saving.get_loop() is asyncio.get_running_loop():
            await asyncio.wait([self._saving])

    def _note_use(self, id: str, now: int) -> None:
        self._unsaved[id] = now
        loop = asyncio.get_running_loop()
        if self._saving is None or self._saving.done() or self._saving.get_loop() is not loop:
            self._saving = loop.create_task(self._save_uses())

    async def _save_uses(self) -> None:
        """Write last uses beside the requests: no request waits for it or fails by it."""
        while self._unsaved:
            id, ms = self._unsaved.popitem()
            try:
                async with self._database.writer() as db:
                    await TokenRow.filter(id=id).using_db(db).update(last_used_ms=ms)
            except Exception:
                _log.warning("the last use of token %s could not be written", id, exc_info=True)

    def _forget(self) -> None:
        self._kept.clear()
        self._forgotten += 1

    # --- pairing --------------------------------------------------------------------------------------

    async def new_pairing_code(
        self,
        unit: str,
        name: str,
        sensitive: bool = False,
        minutes: int = PAIRING_MINUTES,
        secret: bytes | None = None,
    ) -> str:
        """A code such as `7K4M-2Q9D` with which one tablet may join this unit, once.

        With a `secret` it is `pairing_code(secret)`, however often it is asked for.
        """
        now = self._now_ms()
        async with self._database.writer() as db:
            await PairingRow.filter(Q(expires_ms__lte=now) | Q(used_ms__isnull=False)).using_db(db).delete()
        for _ in range(10):
            code = pairing_code(secret or self._entropy(16))
            plain = code.replace("-", "")
            row = PairingRow(
                half=plain[:CODE_HALF],
                verifier=await self._passwords.hash(plain),
                unit=unit,
                name=name,
                sensitive=sensitive,
                expires_ms=now + minutes * 60_000,
                tries=0,
            )
            try:
                async with self._database.writer() as db:
                    await row.save(using_db=db, force_create=True)
            except IntegrityError:
                if secret is None:
                    continue  # another open code begins alike
                async with self._database.reader() as db:
                    known = await PairingRow.get_or_none(half=row.half, using_db=db)
                if known is None or not await self._passwords.fits(plain, known.verifier):
                    break
            return code
        raise Refused("busy", seconds=minutes * 60)

    async def redeem(self, code: str, remote: str | None = None) -> Invitation:
        """Use up a pairing code; of several at once, one gets the invitation.

        Case, spaces and hyphens don't matter. `Refused("pairing_code_invalid")` is the same for a wrong,
        used, expired and locked code; five wrong tries on one first half lock it. `too_many_tries` as in
        `login`, when the address is given.
        """
        plain = unicodedata.normalize("NFKC", code).upper()
        plain = "".join(c for c in plain if not c.isspace() and c not in "-‐‑‒–—−_.")
        keys = remote_keys(remote)
        await self._throttle.take(keys)
        if len(plain) != 2 * CODE_HALF or any(c not in CODE_DIGITS for c in plain):
            raise Refused("pairing_code_invalid")
        now = self._now_ms()
        async with self._database.writer() as db:
            open_codes = PairingRow.filter(
                half=plain[:CODE_HALF], used_ms__isnull=True, expires_ms__gt=now
            ).using_db(db)
            # Counted before it is judged, so that a thousand tries at once are five.
            counted = await open_codes.filter(tries__lt=PAIRING_TRIES_MAX).update(tries=F("tries") + 1)
            row = await open_codes.first() if counted else None
            fits = await self._passwords.fits(plain, row.verifier if row else None)
            if row is None or not fits:
                raise Refused("pairing_code_invalid")
            if not await open_codes.filter(verifier=row.verifier).update(used_ms=self._now_ms()):
                raise Refused("pairing_code_invalid")
        for key in keys:
            await self._throttle.give_back(key)
        return Invitation(row.unit, row.name, row.sensitive)


def pairing_code(secret: bytes) -> str:
    """The code that follows from 16 random bytes."""
    code = bearers.spell(int.from_bytes(secret[:16]), CODE_DIGITS, 2 * CODE_HALF)
    return f"{code[:CODE_HALF]}-{code[CODE_HALF:]}"


def _check_role(role: str, allowed: Iterable[str]) -> None:
    if role not in allowed:
        raise Refused("argument_invalid", reason=f"The role should be one of: {', '.join(allowed)}.")


def _check_scopes(scopes: Iterable[str] | None) -> None:
    known = RIGHTS.keys() - OF_PEOPLE
    for scope in scopes or ():
        if scope not in known:
            raise Refused("argument_invalid", reason=f"A scope is one of: {', '.join(sorted(known))}.")


def _login_of(row: TokenRow) -> str | None:
    """The login whose rights bound it."""
    return row.owner if row.kind == "session" else row.maker


def _serves(row: TokenRow, login: LoginRow | None, now: int) -> bool:
    """Whether this token lets anybody in; a revoked device is told so later."""
    if row.expires_ms is not None and row.expires_ms <= now:
        return False
    if row.revoked_ms is not None and row.kind != "device":
        return False
    return login is not None or not (row.kind == "session" or row.maker)


def _written(names: Iterable[str] | None) -> str | None:
    return None if names is None else json.dumps(sorted(set(names)))


def _read(names: str | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(json.loads(names))


def _login(row: LoginRow) -> Login:
    return Login(row.name, row.role, row.staff, _read(row.units), row.sensitive, row.active)


def _kind(row: TokenRow) -> Kind:
    match row.kind:
        case "device" | "developer" | "session" as kind:
            return kind
    raise AssertionError(f"token {row.id} is of no known kind: {row.kind}")


def _token(row: TokenRow) -> Token:
    return Token(
        row.id,
        _kind(row),
        row.owner,
        row.label,
        row.role,
        _read(row.units),
        row.sensitive,
        row.created_ms,
        row.expires_ms,
        row.last_used_ms,
        row.revoked_ms,
        _read(row.scopes),
        row.maker,
        row.trusted_only,
    )


def _principal(row: TokenRow, login: LoginRow | None, digest: str) -> Principal:
    """A session has what its login has now; a program what it was given, and no more than its maker has."""
    kind = _kind(row)
    role, sensitive, units, within = row.role, row.sensitive, _read(row.units), None
    if login is not None:
        role, sensitive, reach = login.role, login.sensitive, _read(login.units)
        if kind == "session" or units is None:
            units = reach
        else:
            within = reach
        if kind != "session":
            role, sensitive = min(role, row.role, key=RANKS.index), sensitive and row.sensitive
    return Principal(
        token=row.id,
        kind=kind,
        role=role,
        units=units,
        sensitive=sensitive,
        staff=login.staff if login and kind == "session" else row.owner if kind == "developer" else None,
        device=row.owner if kind == "device" else None,
        revoked=row.revoked_ms is not None,
        name=row.label,
        issued_ms=(row.former_until_ms or row.created_ms) if row.digest == digest else 0,
        scopes=_read(row.scopes),
        within=within,
        trusted_only=row.trusted_only,
    )
