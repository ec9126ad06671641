"""What a person is known to have done, as it is laid out for rules in SQL."""

from __future__ import annotations

from regulars_schema.rules.knowing import Known
from regulars_server.storage.standing import DEED, LINE, Counted


def counted(known: Known) -> tuple[Counted, ...]:
    """A row for each fact that counts, also of days to come, with its lines."""
    return tuple(
        Counted(
            tuple(getattr(deed, name) for name in DEED),
            tuple(tuple(getattr(line, name) for name in LINE) for line in deed.lines),
        )
        for deed in known.deeds
    )
