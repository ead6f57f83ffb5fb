"""Whether this agent runs from its image, beside an engine outside of its container, whose files it lacks.

Belongs here: the mark that the image carries. May not be here: what follows from it.
"""

from __future__ import annotations

import os
from typing import Final

_MARK: Final = "MINIKUBELET_IN_IMAGE"


def in_image() -> bool:
    """Whether the image's environment says so; any other container is a machine like others."""
    return bool(os.environ.get(_MARK))
