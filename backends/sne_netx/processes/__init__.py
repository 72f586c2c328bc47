"""Lava processes of this backend, and their models; nothing else, and no torch. See `sne_lava.processes`."""
