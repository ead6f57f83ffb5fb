"""The simulated driver: containers that exist in memory only, deterministic from a seed."""
