"""Charts as plain SVG, for the first instant of a page: no JavaScript, no event loop, a millisecond each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

_WIDTH, _HEIGHT, _POINTS = 1000, 100, 250


def sketch(lines: Sequence[tuple[pd.Series, str]]) -> str:
    """Return an SVG of lines (values, colour) on one scale, to be stretched over the place of a chart."""
    thinned = [(_thin(np.asarray(values, dtype=float)), colour) for values, colour in lines]
    joined = np.concatenate([values for values, _ in thinned])
    low, high = np.nanmin(joined), np.nanmax(joined)
    paths = "".join(
        f'<polyline points="{_points(values, low, high)}" fill="none" stroke="{colour}" stroke-width="1.5" '
        'vector-effect="non-scaling-stroke"/>'
        for values, colour in thinned
    )
    return (
        f'<svg viewBox="0 -6 {_WIDTH} {_HEIGHT + 12}" preserveAspectRatio="none" aria-hidden="true">'
        f'<g opacity="0.55">{paths}</g></svg>'
    )


def _thin(values: np.ndarray) -> np.ndarray:
    return values[:: max(1, len(values) // _POINTS)]


def _points(values: np.ndarray, low: float, high: float) -> str:
    across = np.linspace(0, _WIDTH, len(values))
    down = _HEIGHT * (high - values) / ((high - low) or 1.0)
    return " ".join(f"{x:.0f},{y:.1f}" for x, y in zip(across, down, strict=True) if np.isfinite(y))
