"""Lava processes of this backend, and their models; nothing else, and no torch.

Lava executes every module of this folder when it looks for a process's models.
"""
