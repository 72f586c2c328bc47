"""The closed registry of layer kinds: what a student may be made of."""
