"""The campaign: kills, full disks, lost workers, odd places, sizes, bad files, and what must still hold.

``python -m tests.torture [PART ...]``; a part is one file in ``parts/`` with a ``PART``.
"""
