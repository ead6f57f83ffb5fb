"""A node agent for Kubernetes that can be replayed: every event and every decision is in its journal."""

__version__ = "0.1.0"
