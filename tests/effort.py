"""How many examples a property gets: more in the long profile (``make test-long``)."""

from __future__ import annotations

import os


def examples(usual: int) -> int:
    """``usual``, times the factor in SNE_TEST_FACTOR."""
    return usual * int(os.environ.get("SNE_TEST_FACTOR", "1"))
