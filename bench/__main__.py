"""Run one benchmark by its name: `python -m bench NAME`; each is a module here with `main(argv)`."""

import importlib
import sys
from pathlib import Path


def main(argv: list[str]) -> int:
    """Hand over to the benchmark named first, with the other arguments."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
    if not argv or argv[0] not in names:
        print(f"usage: python -m bench {{{','.join(names)}}} [--help]", file=sys.stderr)
        return 2
    module = importlib.import_module(f"bench.{argv[0]}")
    result: int = module.main(argv[1:])
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
