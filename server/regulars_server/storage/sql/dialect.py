"""What the engines say differently. Everything else is written so that both take it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from regulars_schema.search import Match


class Connection(Protocol):
    """A connection in its one transaction; `sqlite3.Connection` is one as it is."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Iterable[Any]:
        """The rows, each a tuple; nothing where a statement gives none."""
        ...

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> object: ...


class Among(NamedTuple):
    """A condition's right side, and its parameters."""

    text: str
    parameters: list[Any]


class Dialect(Protocol):
    """The words of one engine, where the same words would not do for both, or not be quick."""

    same: str
    """From `member m`, the customers that `same` connects with it: the recursive part of a `WITH`."""
    pairs: str
    """Each `identity i` that names a `member m` first."""
    touches: str
    """Whether the choice `b` is about one of the `<entity>.<field>` in a list."""
    wrote: str
    """Whether the body of the entry `f` wrote one of the `<entity>.<field>` in a list."""
    verdict: str
    """Of the document of `t`, as text; the same for `code`."""
    code: str
    closed: str
    """Whether the document of `t` says so."""
    names: str
    """Whether a body of the log holds one of the texts in a list."""
    ids: str
    """All ids of a group, as a JSON list."""

    def list(self, values: Iterable[Any]) -> Any:
        """The parameter of `IN (SELECT value FROM json_each(?))`; what nobody can have stored is left out."""
        ...

    def match(self, entity: str, t: str, wanted: Match) -> Among:
        """Whether the tokens of the row `t` fit: a condition of its own."""
        ...

    def retell(
        self, connection: Connection, entity: str, differences: Iterable[tuple[int, set[str], set[str]]]
    ) -> None:
        """Let the index of tokens follow what rows lose and gain: (row, tokens out, tokens in)."""
        ...

    def plan_anew(self, connection: Connection) -> None:
        """For the rest of the transaction: let each statement be planned as rules are best answered."""
        ...

    def blobs(self, hexes: Iterable[str]) -> Iterator[Among]:
        """Texts `IN …` for hex ids, in parts, so that few statements are prepared."""
        ...
