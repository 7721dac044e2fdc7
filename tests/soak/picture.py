"""The samples of a soak as a picture: one curve for each measure, from zero to its highest value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from tests.soak.growth import Sample

WIDTH, HEIGHT, MARGIN = 720, 90, 24


def picture(samples: Sequence[Sample]) -> str:
    """The picture as SVG."""
    names = [field.name for field in fields(Sample) if field.name != "at"]
    rows = [_row(name, position, samples) for position, name in enumerate(names)]
    height = len(names) * (HEIGHT + MARGIN)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>\n' + "\n".join(rows) + "\n</svg>\n"
    )


def _row(name: str, position: int, samples: Sequence[Sample]) -> str:
    top = position * (HEIGHT + MARGIN) + MARGIN
    values = [getattr(sample, name) for sample in samples]
    highest, end = max(*values, 1), max(samples[-1].at, 1.0)
    points = " ".join(
        f"{sample.at / end * (WIDTH - 20) + 10:.1f},{top + HEIGHT - value / highest * HEIGHT:.1f}"
        for sample, value in zip(samples, values, strict=True)
    )
    words = f"{name.replace('_', ' ')}: 0 to {highest:,} in {end / 60:.0f} min"
    return (
        f'<text x="10" y="{top - 6}">{words}</text><line x1="10" y1="{top + HEIGHT}" x2="{WIDTH - 10}" y2="{top + HEIGHT}" '
        f'stroke="#bbb"/><polyline points="{points}" fill="none" stroke="#225" stroke-width="1.2"/>'
    )
