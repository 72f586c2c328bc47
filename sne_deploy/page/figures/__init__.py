"""The figures, one file each; ``table.py`` lists them."""
