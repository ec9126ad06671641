"""How far a row on this tablet has come: what of it the server has not answered, refused, or holds beside."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RowState:
    """The default is a row that is as the server has it and waits for nobody."""

    pending: bool = False
    """It has changes that the server has not answered."""
    held: tuple[str, ...] = ()
    """The cids of own changes that were held or rejected."""
    contested: tuple[str, ...] = ()
    """The paths with several values that have not seen each other."""
    members: tuple[str, ...] = ()
    """Of a merged customer: the ids that are this person, the survivor's first."""
    merged_into: str | None = None
    """The survivor's id, where that is another."""
