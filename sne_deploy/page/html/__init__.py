"""The page: figures, tables and text as one HTML file that needs nothing else."""
