"""What is true of a whole serving process, so no part of the app decides it."""

from __future__ import annotations

import contextlib
import gc


def spare_the_collector() -> None:
    """Let the garbage collector leave alone what lives as long as the process, and look less often.

    A push makes many short-lived objects without cycles; at the defaults a tenth to a fifth of the
    server's time goes into walking over modules and schema again and again (measured by bench/).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def take_all_files() -> None:
    """Let this process open as many files as the system allows it: each tablet that listens is one."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # not everywhere

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
