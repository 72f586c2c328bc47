"""Where neurons and synapses are on a chip: cores, chips, what binds each core."""
