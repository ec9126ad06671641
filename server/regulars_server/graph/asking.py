"""The mutation that a request is about to answer."""

from __future__ import annotations

from dataclasses import dataclass

from regulars_server.answers import Answer
from regulars_sync.errors import Refused


@dataclass(slots=True)
class Asking:
    """One root field of a mutation, and what became of it."""

    content: str = ""
    """A hash of what is asked: field and arguments, without the key."""
    view: str = ""
    """A hash of all else that the answer follows from: selection, language, rights."""
    known: Answer | None = None
    """What was kept under its key before."""
    erased: int = 0
    """How many rows were erased when its answer began to be read."""
    is_done: bool = False
    secret: str | None = None
    """What is told in the answer and kept nowhere: it follows from the key, so it can be told again."""

    def require(self, cid: str) -> None:
        """`Refused("idempotency_reused")` when the key was used for something else. `cid`: it is a key."""
        if self.known is not None and self.known.content != self.content:
            raise Refused("idempotency_reused")
