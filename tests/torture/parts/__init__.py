"""One file for each part of the campaign, with its ``PART``; found by their names."""
