"""Regulars (熟客): the customers of a branch, on a tablet that works with no network at all.

from regulars import Shop
"""

from regulars.contested import Contested, SideValue
from regulars.held import HeldChange
from regulars.past import LedgerEntry, PastChange, PastPage
from regulars.records import Customer, Interaction, Link, Product, Segment, Staff, Unit
from regulars.shop import Shop, Status
from regulars_sync.errors import LocalError, Offline, Refused, RegularsError
from regulars_sync.round import SyncReport

__all__ = [
    "Contested",
    "Customer",
    "HeldChange",
    "Interaction",
    "LedgerEntry",
    "Link",
    "LocalError",
    "Offline",
    "PastChange",
    "PastPage",
    "Product",
    "Refused",
    "RegularsError",
    "Segment",
    "Shop",
    "SideValue",
    "Staff",
    "Status",
    "SyncReport",
    "Unit",
]
