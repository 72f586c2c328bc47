"""What ``sne inspect`` shows: a model's graph, its neurons in both units, what each target supports."""
