"""Distillation: a teacher's features, divided among spiking students, joined by a linear head.

``data``, ``teacher``, ``students`` and ``policy`` are its rooms, ``training`` and ``losses`` what they share;
``run`` puts the stages in order, and ``command`` is :func:`sne_deploy.train`.
"""
