"""Disks of a size, so that they can be full: small ones in memory, mounted where only this run sees them.

Where nothing can be mounted (no root, no privilege) there are none; then SQLite is told of a full disk by
`ailments.py`, and PostgreSQL's is never full. The report of a run says which.
"""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
from pathlib import Path

_NEW_NAMESPACE = 0x00020000
BALLAST = "ballast"


def may_mount() -> bool:
    """Whether disks can be mounted: this process and its children see them alone, and they go with them."""
    if os.geteuid() != 0 or ctypes.CDLL(None, use_errno=True).unshare(_NEW_NAMESPACE) != 0:
        return False
    return _mount("--make-rprivate", "/")


def _mount(*given: str) -> bool:
    try:
        return subprocess.run(["mount", *given], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


class Disk:
    """A folder, on a disk of its own where that can be."""

    def __init__(self, folder: Path, mib: int, mounts: bool) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.is_own = mounts and _mount("-t", "tmpfs", "-o", f"size={mib}m,mode=755", "tmpfs", str(folder))

    def fill(self) -> None:
        """Leave not a byte."""
        with (self.folder / BALLAST).open("wb") as file:
            step = 1 << 22
            size = 0
            while step >= 4096:
                try:
                    os.posix_fallocate(file.fileno(), size, step)
                    size += step
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    step //= 2

    def free(self) -> None:
        (self.folder / BALLAST).unlink(missing_ok=True)
