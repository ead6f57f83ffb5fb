"""`python -m minikubelet`.

Belongs here: the call of the command line, nothing else.
"""

import sys

from minikubelet.cli import entry

sys.exit(entry())
