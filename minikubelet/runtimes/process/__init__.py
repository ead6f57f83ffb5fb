"""The process driver: containers as process groups, each under a small supervisor of its own."""
