"""Studies of trained ensembles, and the pages of their results: not installed with the wheel."""
