"""What the page shows beyond the report: found once in a run, and kept in ``details.json`` beside it."""
