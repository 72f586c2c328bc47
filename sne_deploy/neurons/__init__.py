"""Neuron models, one file each, listed in ``table``. No torch, norse or nir is imported here."""
