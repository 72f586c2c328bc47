"""Distillation: a teacher's features, divided among spiking students, joined by a linear head."""
