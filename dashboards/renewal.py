"""Charts that stay where they are while what they show goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Drawn = Mapping[str, list[Any] | str]
"""Figures by card, with words among them, or words alone."""


def renew(axis: Any, drawn: Drawn, new_axis: Any, new_drawn: Drawn) -> bool:
    """Give charts that are shown the data of ones that were drawn anew, where both are made alike; else return False.

    `axis` and `new_axis` are their ranges of time. What was in view stays in view; where that reached to the end, it
    moves on with it. The caller holds the document's lock.
    """
    if [*_shapes(drawn)] != [*_shapes(new_drawn)]:
        return False
    fed = {}  # layers share sources
    for shown, new in zip(_layers(drawn), _layers(new_drawn), strict=True):
        fed[shown.data_source] = dict(new.data_source.data)
    for source, columns in fed.items():
        source.data = columns
    move(axis, new_axis.bounds)
    return True


def move(axis: Any, new_bounds: tuple[float, float]) -> None:
    """Let a range of time have other bounds; the caller holds the document's lock."""
    start, end = moved(axis, new_bounds)
    axis.bounds = new_bounds  # before the rest: a browser takes what is in view back into the bounds that it knows
    axis.update(start=start, end=end)


def moved(axis: Any, new_bounds: tuple[float, float]) -> tuple[float, float]:
    """Return what is in view in other bounds: the same, or if it reaches to the end, what is there then."""
    first, last = axis.bounds
    slack = (last - first) / 1e6  # the browser's numbers are not ours to the last bit
    follows, whole = axis.end >= last - slack, axis.start <= first + slack
    by = new_bounds[1] - last if follows else 0.0
    return new_bounds[0] if follows and whole else axis.start + by, axis.end + by


def _layers(drawn: Drawn) -> Iterator[Any]:
    for figures in drawn.values():
        for figure in figures:
            if not isinstance(figure, str):
                yield from figure.renderers


def _shapes(drawn: Drawn) -> Iterator[Any]:
    """Tell what charts are made of, but for the data."""
    for card, figures in drawn.items():
        for figure in [figures] if isinstance(figures, str) else figures:
            if isinstance(figure, str):
                yield card, figure
                continue
            yield card, figure.name
            for layer in figure.renderers:
                yield layer.name, layer.glyph.__class__, sorted(layer.data_source.data)
