"""How Hypothesis looks for counterexamples: anew each time at a desk, the same ones in CI.

A red build is then somebody's change and never somebody else's luck. Time limits of single examples
only tell how busy the machine is.
"""

import os

import pytest
from hypothesis import settings

from tests.support.postgres import databases

settings.register_profile("desk", deadline=None)
settings.register_profile("ci", settings.get_profile("desk"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "desk")


@pytest.fixture(scope="session")
def postgres():
    """New databases on a real PostgreSQL, which is started for the first test that asks."""
    with databases() as found:
        yield found


@pytest.fixture
def postgres_url(postgres):
    """The address of a database of the test's own, which has its tables and no chain yet."""
    with postgres.one() as url:
        yield url
