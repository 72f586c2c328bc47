"""Neuron groups and readouts."""
