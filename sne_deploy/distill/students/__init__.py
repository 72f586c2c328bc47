"""Spiking students: networks, training alone, together and with quantised weights, and their head."""
