"""docs/results.md and its plots, made from the rows in docs/results/*.json and from nothing else."""
