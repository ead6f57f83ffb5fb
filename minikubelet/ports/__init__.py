"""Protocols between the floors: what the shell asks of runtimes, journals, sources and the API."""
