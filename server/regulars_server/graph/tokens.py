"""Tokens of programs, as a person makes and ends them over GraphQL."""

from __future__ import annotations

from typing import Annotated, Any

import strawberry

from regulars_server.access import Token
from regulars_server.access.access import GRACE_MS
from regulars_server.access.rights import OF_PEOPLE, RIGHTS, rights_of, standing
from regulars_server.graph.declared import mutation, resolved
from regulars_server.graph.enums import StaffRole
from regulars_server.graph.problems import Refusal
from regulars_server.graph.request import Context, Info
from regulars_server.graph.scalars import UUID, DateTime, instant_of, ms_of
from regulars_server.graph.types import Staff, Unit
from regulars_server.graph.writing import Writing, settled
from regulars_server.tokens import Tokens, Wanted

HOUR_MS = 3_600_000
GRACE_HOURS_MAX = 24 * 30


@strawberry.type(description="A token of a program. Its secret is told once, when it is made or rotated.")
class AccessToken:
    id: UUID = strawberry.field(description="The id of the token; it stays when the secret is rotated.")
    label: str = strawberry.field(description="What it is for.")
    role: StaffRole = strawberry.field(description="It has no more than the rights of this role.")
    scopes: list[str] = strawberry.field(
        description="The rights it has of its role, such as `read:customers`."
    )
    sensitive: bool = strawberry.field(description="Whether sensitive fields are shown to it.")
    whole_chain: bool = strawberry.field(description="Whether it reaches all that its maker does.")
    unit_ids: list[UUID] = strawberry.field(description="The units it reaches, with all below them.")
    trusted_only: bool = strawberry.field(description="Whether it may send trusted documents alone.")
    maker: str | None = strawberry.field(
        description="The login whose rights it never exceeds; null when made at the server itself."
    )
    staff_id: UUID | None = strawberry.field(description="The member of staff it acts for, by id.")
    created_at: DateTime = strawberry.field(description="When it was made.")
    expires_at: DateTime | None = strawberry.field(description="When it ends by itself.")
    last_used_at: DateTime | None = strawberry.field(description="When it was last used, to the minute.")
    revoked_at: DateTime | None = strawberry.field(description="When it was ended.")

    @resolved("The units it reaches, those within your reach.")
    async def units(self, info: Info) -> list[Unit]:
        return await info.context.related_all(Unit, self.unit_ids)

    @resolved("The member of staff it acts for.")
    async def staff(self, info: Info) -> Staff | None:
        return await info.context.related(Staff, self.staff_id)


@strawberry.type(description="A right that a token can be given.")
class TokenScope:
    name: str = strawberry.field(description="As it is given: `read:customers`.")
    description: str = strawberry.field(description="What it lets one do.")


@strawberry.type(description="What was done to a token, as the change log tells it.")
class TokenEvent:
    cid: str
    did: str = strawberry.field(description="One of token_made, token_rotated, token_expires, token_revoked.")
    by: str | None = strawberry.field(description="The login; null when done at the server itself.")
    at: DateTime = strawberry.field(description="When.")


@strawberry.input(description="A token as it shall be.")
class TokenInput:
    label: str = strawberry.field(description="What it is for; up to 80 characters.")
    role: StaffRole = strawberry.field(description="A role that is not above your own.")
    scopes: list[str] | None = strawberry.field(
        default=None, description="Rights of that role, as `tokenScopes` lists them; all when left out."
    )
    unit_ids: list[UUID] | None = strawberry.field(
        default=None, description="Units within your reach, with all below them; your reach when left out."
    )
    sensitive: bool = strawberry.field(
        default=False, description="Whether sensitive fields are shown to it; only if they are to you."
    )
    expires_at: DateTime | None = strawberry.field(default=None, description="When it ends by itself.")
    staff_id: UUID | None = strawberry.field(default=None, description="The member of staff it acts for.")
    trusted_only: bool = strawberry.field(
        default=False, description="Whether it may send trusted documents alone."
    )


@strawberry.type(description="The token was made, or another secret was given to it.")
class TokenIssued:
    token: AccessToken = strawberry.field(description="The token.")
    secret: str | None = strawberry.field(
        description="The bearer, told with this answer alone; null when it was rotated since."
    )


@strawberry.type(description="It was done to the token.")
class TokenChanged:
    token: AccessToken = strawberry.field(description="The token.")


TokenIssueResult = Annotated[TokenIssued | Refusal, strawberry.union("TokenIssueResult")]
TokenChangeResult = Annotated[TokenChanged | Refusal, strawberry.union("TokenChangeResult")]


@strawberry.type
class TokenQueries:
    @resolved("The tokens of programs that you made, oldest first; for head office those of everybody.")
    async def tokens(self, info: Info) -> list[AccessToken]:
        return [_shown(token) for token in await _tokens(info.context).all()]

    @resolved("What was done to a token, and by whom, oldest first.")
    async def token_history(self, info: Info, id: UUID) -> list[TokenEvent]:
        return [
            TokenEvent(cid=entry.cid, at=instant_of(entry.at_ms), did=said["did"], by=said["by"])
            for entry in await _tokens(info.context).told(id)
            if (said := entry.detail) is not None
        ]

    @resolved("Every right that a token can be given.")
    def token_scopes(self) -> list[TokenScope]:
        return [
            TokenScope(name=name, description=about)
            for name, about in RIGHTS.items()
            if name not in OF_PEOPLE
        ]


@strawberry.type
class TokenMutations:
    @mutation("A token for a program. It never has more than you have at the moment of use.")
    async def token_create(self, info: Info, idempotency_key: str, input: TokenInput) -> TokenIssueResult:
        async def run(writing: Writing) -> TokenIssued:
            wanted = Wanted(
                label=input.label,
                role=input.role.value,
                units=None if input.unit_ids is None else tuple(input.unit_ids),
                sensitive=input.sensitive,
                scopes=None if input.scopes is None else tuple(input.scopes),
                expires_ms=None if input.expires_at is None else ms_of(input.expires_at),
                staff=input.staff_id,
                trusted_only=input.trusted_only,
            )
            tokens = _tokens(info.context)
            id, secret = await tokens.make(wanted, writing.cid)
            info.context.asking.secret = secret
            info.context.asking.secret = secret
            return TokenIssued(token=_shown(await tokens.get(id)), secret=secret)

        return await settled(info.context, idempotency_key, run)

    @mutation(
        "Another secret for a token; the one before serves for some hours more, 24 unless told otherwise."
    )
    async def token_rotate(
        self,
        info: Info,
        idempotency_key: str,
        id: UUID,
        grace_hours: Annotated[
            int, strawberry.argument(description="For how long the former secret still serves.")
        ] = GRACE_MS // HOUR_MS,
    ) -> TokenIssueResult:
        async def run(writing: Writing) -> TokenIssued:
            tokens = _tokens(info.context)
            grace_ms = min(max(grace_hours, 0), GRACE_HOURS_MAX) * HOUR_MS
            secret = await tokens.rotate(id, writing.cid, grace_ms)
            info.context.asking.secret = secret
            info.context.asking.secret = secret
            return TokenIssued(token=_shown(await tokens.get(id)), secret=secret)

        return await settled(info.context, idempotency_key, run)

    @mutation("Let a token end by itself at another time.")
    async def token_expire(
        self,
        info: Info,
        idempotency_key: str,
        id: UUID,
        at: Annotated[DateTime, strawberry.argument(description="When it ends.")],
    ) -> TokenChangeResult:
        async def run(writing: Writing) -> TokenChanged:
            tokens = _tokens(info.context)
            await tokens.expire(id, writing.cid, ms_of(at))
            return TokenChanged(token=_shown(await tokens.get(id)))

        return await settled(info.context, idempotency_key, run)

    @mutation("End a token now, and every connection under it.")
    async def token_revoke(self, info: Info, idempotency_key: str, id: UUID) -> TokenChangeResult:
        async def run(writing: Writing) -> TokenChanged:
            tokens = _tokens(info.context)
            await tokens.revoke(id, writing.cid)
            return TokenChanged(token=_shown(await tokens.get(id)))

        return await settled(info.context, idempotency_key, run)


def _tokens(context: Context) -> Tokens:
    return Tokens(context.service, context.principal)


def _shown(token: Token) -> AccessToken:
    return AccessToken(
        id=UUID(token.id),
        label=token.label,
        role=StaffRole(token.role),
        scopes=sorted(rights_of(standing(token.role, token.units), token.scopes, is_program=True)),
        sensitive=token.sensitive,
        whole_chain=token.units is None,
        unit_ids=[UUID(unit) for unit in token.units or ()],
        trusted_only=token.trusted_only,
        maker=token.maker,
        staff_id=None if token.owner is None else UUID(token.owner),
        created_at=instant_of(token.created_ms),
        expires_at=_instant(token.expires_ms),
        last_used_at=_instant(token.last_used_ms),
        revoked_at=_instant(token.revoked_ms),
    )


def _instant(ms: int | None) -> Any:
    return None if ms is None else instant_of(ms)
