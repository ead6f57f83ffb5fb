"""Codecs: manifests, pods, records and settings between bytes and the model.

Belongs here: reading and writing of forms, and redaction. May not be here: I/O.
"""
