"""What the benchmarks print: progress on stderr, results as a table or as JSON on stdout."""

import sys
from typing import Any

import msgspec


def say(text: str) -> None:
    """Progress, for a person."""
    print(text, file=sys.stderr, flush=True)


def show(results: dict[str, Any], output: str) -> None:
    """Results by name, each with its values."""
    if output == "json":
        print(msgspec.json.encode(results).decode())
        return
    width = max(map(len, results)) + 2
    for key, values in results.items():
        print(f"{key:{width}}" + "  ".join(f"{name}={_spell(value)}" for name, value in values.items()))


def _spell(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{name}:{count:,}" for name, count in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)
