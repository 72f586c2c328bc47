"""Untrusted files are read by child processes with bounded memory and time; what they send is data."""
