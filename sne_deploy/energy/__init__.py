"""From integer counts to joules: the constants of a chip, and the sums."""
