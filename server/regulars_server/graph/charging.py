"""What operations cost their tokens: taken before anything runs, and what was not used is given back.

So whoever asks for much at once waits, and nobody else does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from regulars_server.access.budgets import Budget
from regulars_server.graph.documents import Operation
from regulars_server.graph.request import ROWS_PER_REQUEST_MAX, Context
from regulars_server.service import Service
from regulars_sync.errors import Refused


class Cost(NamedTuple):
    """What an operation was charged, and what its token has left."""

    requested: int
    actual: int
    available: int
    budget: Budget

    def told(self) -> dict[str, Any]:
        """As `extensions.cost` says it; without `throttleStatus` where there is no limit."""
        told = {"requestedQueryCost": self.requested, "actualQueryCost": self.actual}
        if not self.budget.most:
            return told
        status = {
            "maximumAvailable": self.budget.most,
            "currentlyAvailable": self.available,
            "restoreRate": self.budget.per_s,
        }
        return {**told, "throttleStatus": status}


class Throttled(Refused):
    """`throttled`, with what it would have cost."""

    def __init__(self, cost: Cost, wait_ms: int) -> None:
        seconds = -(-wait_ms // 1_000)
        super().__init__("throttled", cost=cost.requested, available=cost.available, seconds=seconds)
        self.cost = cost


class Charging:
    """Charges the tokens of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def charge(self, operation: Operation, variables: dict[str, Any], context: Context) -> Cost:
        """Take what the operation may cost; `Refused("query_too_large")`, or `Throttled`."""
        budget = self._service.budget(context.principal)
        cost = operation.price.of(variables)
        cost_max = self._service.settings.query_cost_max
        if budget.most:
            cost_max = min(cost_max, budget.most)
        if cost > cost_max:
            raise Refused("query_too_large", what="cost", limit=cost_max)
        if not budget.most:
            return Cost(cost, cost, 0, budget)
        token, now_ms = context.principal.token, self._service.now_ms()
        taken = await self._service.buckets.take(token, cost, budget, now_ms)
        charged = Cost(cost, 0 if taken.wait_ms else cost, taken.available, budget)
        if taken.wait_ms:
            raise Throttled(charged, taken.wait_ms)
        return charged

    async def settle(self, charged: Cost, operation: Operation, context: Context) -> Cost:
        """Give back what was not used."""
        spent = operation.price.least() + ROWS_PER_REQUEST_MAX - context.rows_left
        actual = min(charged.requested, spent)
        if not charged.budget.most:
            return charged._replace(actual=actual)
        token, now_ms = context.principal.token, self._service.now_ms()
        back = actual - charged.requested
        taken = await self._service.buckets.take(token, back, charged.budget, now_ms)
        return charged._replace(actual=actual, available=taken.available)
