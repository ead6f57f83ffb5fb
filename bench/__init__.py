"""Benchmarks: one module a question, each with `main(argv) -> int`; run as `python -m bench NAME`."""
