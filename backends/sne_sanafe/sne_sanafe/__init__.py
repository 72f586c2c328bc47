"""The same network on the same cores by SANA-FE: its energy and time beside sne-deploy's."""

from sne_sanafe.comparison import Comparison, Term, compare

__all__ = ["Comparison", "Term", "compare"]
