"""Dropping spikes that would arrive in another sample."""
