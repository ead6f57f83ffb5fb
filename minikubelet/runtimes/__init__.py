"""Drivers behind the runtime port: docker, process, simulated.

Belongs here: one package a driver. May not be here: imports from one driver to another.
"""
