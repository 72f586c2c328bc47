"""Lava's own convolution, for comparison. A folder of its own: Lava executes all modules beside a process."""
