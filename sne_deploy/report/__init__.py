"""What a run found out: the report's schema, its file, and its table."""
