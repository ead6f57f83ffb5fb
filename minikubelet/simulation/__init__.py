"""The simulation: the real agent in a world of its own, on a virtual clock, from one seed.

Belongs here: the world, its faults, and the judges of what the agent does in it. May not be here: any model
of the agent itself: its parts run as they are.
"""
