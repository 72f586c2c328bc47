"""Tests, mirroring the tree. A package, so that :mod:`tests.reference` can be shared between backends."""
