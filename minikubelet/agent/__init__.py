"""Composition root: the only place that names concrete adapters.

Belongs here: choosing, wiring and ending the parts. May not be here: what any part does.
"""
