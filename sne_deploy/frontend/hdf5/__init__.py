"""Untrusted HDF5 files, read in a child process."""
