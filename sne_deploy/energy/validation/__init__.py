"""Measured chips: one JSON file a case, and what the frozen constants predict for each."""
