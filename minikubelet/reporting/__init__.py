"""What is told upstream: mirror pods, statuses, the node, its lease, Events.

Belongs here: an outbox that catches up. May not be here: anything that a container waits for.
"""
