"""The journal: what happened and what was decided, in segments on disk or in memory.

Start reading at `framing` (what a line is), then `segmentscan`, `survey` and `diskjournal`.
"""
