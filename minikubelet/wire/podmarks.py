"""Annotations by which kubelets, API servers and tools recognise static and mirror pods.

Belongs here: keys of annotations. May not be here: their values.
"""

from __future__ import annotations

CONFIG_SOURCE = "kubernetes.io/config.source"
CONFIG_HASH = "kubernetes.io/config.hash"
CONFIG_SEEN = "kubernetes.io/config.seen"
CONFIG_MIRROR = "kubernetes.io/config.mirror"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

OF_THE_NODE = (CONFIG_SOURCE, CONFIG_HASH, CONFIG_SEEN, CONFIG_MIRROR)
"""Set by the node's agent, never taken from a manifest."""
