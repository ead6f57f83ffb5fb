"""Pictures of latencies: cumulative curves, one a stage, as SVG without a library.

A curve is read so: at this height, that share of all changes had come to the stage within so many seconds.
The axis of time is logarithmic, since stages lie between milliseconds and seconds.
"""

from __future__ import annotations

import math
from html import escape

from bench._results import Results

_SECOND = 0.9995  # what is less is spelled in milliseconds
_COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#9c6b4e", "#a463f2", "#97bbf5")
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 860, 440, 56, 190, 48, 46


def curves(title: str, results: Results) -> str:
    """An SVG of all results with samples."""
    lines = {name: values["samples"] for name, values in results.items() if values.get("samples")}
    times = [max(each, 1e-4) for samples in lines.values() for each in samples]
    low = math.floor(math.log10(min(times))) if times else -3
    high = math.ceil(math.log10(max(times))) if times else 0
    scale = _Scale(low, max(high, low + 1))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}">',
        '<g font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="24" font-size="15">{escape(title)}</text>',
        *scale.grid(),
    ]
    ordered = sorted(lines.items(), key=lambda item: item[1][len(item[1]) // 2])
    for number, (name, samples) in enumerate(ordered):
        colour = _COLOURS[number % len(_COLOURS)]
        parts.append(scale.curve(samples, colour))
        y = _TOP + 8 + 20 * number
        x = _WIDTH - _RIGHT + 14
        parts.append(f'<rect x="{x}" y="{y - 5}" width="16" height="3" fill="{colour}"/>')
        label = f"{name}  p50 {_seconds(samples[len(samples) // 2])}"
        parts.append(f'<text x="{x + 22}" y="{y}">{escape(label)}</text>')
    return "\n".join([*parts, "</g></svg>"]) + "\n"


class _Scale:
    """Where seconds and shares lie."""

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def x(self, seconds: float) -> float:
        place = (math.log10(max(seconds, 1e-4)) - self._low) / (self._high - self._low)
        return _LEFT + place * (_WIDTH - _LEFT - _RIGHT)

    def y(self, share: float) -> float:
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    def grid(self) -> list[str]:
        parts = []
        for power in range(self._low, self._high + 1):
            for digit in (1, 2, 5) if power < self._high else (1,):
                x = self.x(digit * 10.0**power)
                shade = "#bbb" if digit == 1 else "#eee"
                bottom, top = self.y(0), self.y(1)
                parts.append(f'<path d="M{x:.1f} {bottom}V{top}" stroke="{shade}"/>')
                text = _seconds(digit * 10.0**power)
                parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{text}</text>')
        for share in (0, 0.5, 0.9, 1):
            y = self.y(share)
            parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
            parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>')
        return parts

    def curve(self, samples: list[float], colour: str) -> str:
        """A step for each sample."""
        path = [f"M{self.x(samples[0]):.1f} {self.y(0):.1f}"]
        for number, each in enumerate(samples, 1):
            path.append(f"H{self.x(each):.1f}V{self.y(number / len(samples)):.1f}")
        return f'<path d="{"".join(path)}" fill="none" stroke="{colour}" stroke-width="2"/>'


def _seconds(value: float) -> str:
    if value < _SECOND:
        return f"{value * 1000:.3g} ms"
    return f"{value:.3g} s"
