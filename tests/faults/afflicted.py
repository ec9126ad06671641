"""Run a program whose disk and clock misbehave as a file says: the product's own code, with no hook in it.

python tests/faults/afflicted.py AILMENTS FOLDER MODULE ARGUMENTS...

Of SQLite's files below FOLDER writes and syncs may fail (`tests/support/vfs.py`).
"""

from __future__ import annotations

import runpy
import sqlite3
import sys
from pathlib import Path

from tests.faults.ailments import Ailments, Patient, shifted
from tests.support.vfs import heard

if __name__ == "__main__":
    assert sqlite3.sqlite_version  # the library must be there before it is listened to
    file, folder, module, *arguments = sys.argv[1:]
    ailments = Ailments(Path(file))
    sys.argv = [module, *arguments]
    with shifted(ailments), heard(Path(folder), Patient(ailments)):
        runpy.run_module(module, run_name="__main__", alter_sys=True)
