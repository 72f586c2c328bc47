"""Synapses that count."""
