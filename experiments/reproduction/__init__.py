"""What the examples' ``reproduce.py`` share: runs that are kept, choices on validation data, studies."""
