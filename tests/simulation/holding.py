"""Who holds what, worked out from the log told in its order: DESIGN.md section 6 once more.

Written from the text, without a line of `regulars_sync`. Sightings are the one thing that depends on order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from regulars_schema.declare import JSON, Registry
from tests.simulation.model import Accepted, Key, cells_of

SEEN_MS_MAX = 365 * 86_400_000


class Told(NamedTuple):
    """One thing that the log says, or that time did between two entries."""

    at_ms: int
    change: Accepted | None = None
    device: str | None = None
    """Whose change it is; None is head office."""
    is_freed: bool = False
    """Head office's word let it in, wherever its author was."""
    looked_up: tuple[str, str] | None = None
    """(customer, unit)."""


@dataclass
class Holding:
    """What stands at a moment: the homes, sightings, decisions and the tree of units."""

    registry: Registry
    paired: Mapping[str, str] = field(default_factory=dict)
    """Device -> unit, of those that the server was restored to before it knew them."""
    seen: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    changes: dict[Key, list[Accepted]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, registry: Registry, told: Iterable[Told], paired: Mapping[str, str]) -> Holding:
        holding = cls(registry, paired)
        for one in told:
            if one.change is not None:
                holding._accept(one, one.change)
            elif one.looked_up is not None:
                customer, unit = one.looked_up
                mine = holding.below({holding.unit_of(one.device)})
                if not mine & holding.units(customer, holding.clusters()):
                    holding.seen[customer][unit] = one.at_ms
            else:
                for units in holding.seen.values():
                    for unit in [u for u, at in units.items() if at < one.at_ms - SEEN_MS_MAX]:
                        del units[unit]
        return holding

    def _accept(self, told: Told, change: Accepted) -> None:
        entity, id = change.key
        is_new = change.key not in self.changes
        stated = change.body["stated"]
        unit = self.unit_of(told.device)
        if entity == "customer":
            before = self.shown(change.key, "home_unit")
            self.changes[change.key].append(change)
            after = self.shown(change.key, "home_unit")
            if before and after != before:
                self.seen[id].pop(before, None)
            if is_new and unit and after != unit and after not in self.left_by(told.device):
                self.seen[id][unit] = min(stated["at"] + stated.get("offset", 0), told.at_ms)
        elif entity == "interaction":
            self.changes[change.key].append(change)
            at_unit = change.fields["unit"]["value"] if "unit" in change.fields else unit
            is_mine = told.device is None or told.is_freed or at_unit in self.below({unit})
            if is_new and is_mine:
                at = min(ms_of(change.fields["at"]["value"]) + stated.get("offset", 0), told.at_ms)
                for member in change.fields.get("party", {}).get("value") or ():
                    units = self.seen[member.get("customer", "")]
                    if at_unit in units:
                        units[at_unit] = max(units[at_unit], at)
        else:
            self.changes[change.key].append(change)

    def shown(self, key: Key, path: str) -> JSON:
        entity = self.registry.by_name[key[0]]
        cell = cells_of(entity, [c for c in self.changes[key] if path in c.fields]).get(path)
        return cell.shown.value if cell and cell.shown else None

    def unit_of(self, device: str | None) -> str | None:
        return (self.shown(("device", device), "unit") or self.paired.get(device)) if device else None

    def left_by(self, device: str | None) -> set[str | None]:
        """The units from which a tablet was moved away, with all below them."""
        key = ("device", device or "")
        paths = {path for change in self.changes.get(key, ()) for path in change.fields}
        units = [p.partition("/")[2] for p in paths if p.startswith("left_units/") and self.shown(key, p)]
        return self.below(units) - self.below({self.unit_of(device)})

    def below(self, units: Iterable[str | None]) -> set[str | None]:
        found: set[str | None] = set()
        parents: dict[str | None, JSON] = {
            key[1]: self.shown(key, "parent") for key in list(self.changes) if key[0] == "unit"
        }
        new: set[str | None] = set(units)
        while new:
            found |= new
            new = {unit for unit, parent in parents.items() if parent in new} - found
        return found

    def clusters(self) -> Mapping[str, frozenset[str]]:
        decided = [
            tuple(self.shown(key, path) for path in ("one", "other", "decision"))
            for key in list(self.changes)
            if key[0] == "identity"
        ]
        cluster: dict[str, frozenset[str]] = {}
        for one, other, decision in decided:
            if decision == "same":
                both = cluster.get(one, frozenset([one])) | cluster.get(other, frozenset([other]))
                cluster.update(dict.fromkeys(both, both))
        for one, other, decision in decided:
            if decision in {"not_same", "household"} and other in cluster.get(one, ()):
                for id in cluster[one]:
                    del cluster[id]
        return cluster

    def units(self, customer: str, clusters: Mapping[str, frozenset[str]]) -> set[str]:
        members = clusters.get(customer, frozenset([customer]))
        homes = {self.shown(("customer", id), "home_unit") for id in members}
        return {*homes, *(unit for id in members for unit in self.seen[id])} - {None}


def ms_of(instant: str) -> int:
    return round(datetime.fromisoformat(instant).timestamp() * 1000)
