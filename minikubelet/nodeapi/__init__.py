"""The node's own HTTP API: what a running agent tells over a socket.

Belongs here: handlers over what the agent hands in. May not be here: decisions, or another adapter.
"""
