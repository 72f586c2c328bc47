"""Speed measurements: not installed with the wheel."""
