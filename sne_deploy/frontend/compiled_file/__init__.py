"""A compiled ensemble in one file: registers, scales, chip, head, policy; see ``docs/compiled.md``."""
