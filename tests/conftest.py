"""How Hypothesis looks for counterexamples: anew each time at a desk, the same ones in CI.

A red build is then somebody's change and never somebody else's luck. Time limits of single examples
only tell how busy the machine is.
"""

import os

from hypothesis import settings

settings.register_profile("desk", deadline=None)
settings.register_profile("ci", settings.get_profile("desk"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "desk")
