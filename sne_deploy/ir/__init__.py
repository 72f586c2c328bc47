"""The Program: what a compiled student is, on every target."""
