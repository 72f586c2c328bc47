"""Vega, Vega-Lite and Vega's interpreter, as npm has them: ``scripts/vendor.py`` writes this folder."""
