"""Examples: the committed models, how they were made, and what was measured on them."""
