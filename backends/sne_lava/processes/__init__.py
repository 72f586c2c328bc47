"""Lava processes of this backend, and their models; nothing else, and no torch.

Each kind has a folder of its own: when it looks for the models of a process, Lava executes every module of
the process's folder again, several times over, for every process of the network.
"""
