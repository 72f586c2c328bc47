"""Chips: one TOML each, and the reader."""
