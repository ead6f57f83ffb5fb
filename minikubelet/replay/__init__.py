"""What a journal tells after the fact: verify, why, timeline, state, diff, what-if, export.

Belongs here: reading histories with the core alone. May not be here: an agent, a runtime, an API server.
"""
