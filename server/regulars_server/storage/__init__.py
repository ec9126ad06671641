"""Where a chain is kept: one interface whose docstrings are laws, one contract suite for all who keep it."""
