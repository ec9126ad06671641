"""A row as this tablet shows it: the server's, with own changes laid over it."""

from __future__ import annotations

from dataclasses import dataclass, field

from regulars.outbox import Live
from regulars.row_state import RowState
from regulars_sync.merge import Registers


@dataclass(slots=True)
class Laid:
    id: str
    registers: Registers
    state: RowState
    own: list[Live] = field(default_factory=list)
    """Own changes of this row that are laid over it or wait, in order."""
