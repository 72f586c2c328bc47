"""From a NIR graph to Loihi's registers: one pass, one file; ``pipeline.py`` lists them in order."""
