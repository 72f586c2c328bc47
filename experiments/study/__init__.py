"""What is measured on trained ensembles, as plain rows for tables."""
