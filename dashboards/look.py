"""How the pages look: colours for dark and light, style sheets, and the words that figures are written in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import jinja2

ASSETS = Path(__file__).parent / "assets"

Theme = Literal["dark", "light"]

NONE = "\N{EN DASH}"
"""What stands where there is no value."""


@dataclass(frozen=True)
class Palette:
    """The colours of the charts; those of the pages are the variables of assets/page.css."""

    text: str
    muted: str
    grid: str
    up: str
    down: str
    buy: str
    sell: str
    edge: str
    """Outline of the markers, so that they stand out from the candles."""
    equity: str
    hold: str
    lines: tuple[str, ...]

    @property
    def verdicts(self) -> dict[str, str]:
        """The colours of parity, by verdict."""
        signal, fill, data, _, cost, _ = self.lines
        return {
            "data": data,
            "signal": signal,
            "fill": fill,
            "cost": cost,
            "equal": self.up,
            "not compared": self.muted,
        }


PALETTES: dict[Theme, Palette] = {
    "dark": Palette(
        text="#e4e8ef",
        muted="#98a3b5",
        grid="#232a36",
        up="#2c9c8f",
        down="#c9504e",
        buy="#4ade80",
        sell="#ff6b81",
        edge="#0f131a",
        equity="#6ea8fe",
        hold="#98a3b5",
        lines=("#f5b942", "#6ea8fe", "#c58af9", "#4fd1c5", "#f28b82", "#a3d977"),
    ),
    "light": Palette(
        text="#1b2330",
        muted="#5a6678",
        grid="#e8ecf2",
        up="#3fa796",
        down="#d9605b",
        buy="#0b8a3e",
        sell="#c81e3a",
        edge="#ffffff",
        equity="#1f5fd0",
        hold="#5a6678",
        lines=("#b7791f", "#1f5fd0", "#7c3aed", "#0d8579", "#c0392b", "#4d7c0f"),
    ),
}


def theme_of(text: str | None) -> Theme:
    """Return the theme of that name; dark for any other text."""
    return "light" if text == "light" else "dark"


@cache
def asset(name: str) -> str:
    """Return the text of a file in assets."""
    return (ASSETS / name).read_text(encoding="utf-8")


def script(name: str) -> str:
    """Return a script of assets that builds elements, with the function `make` before it."""
    return asset("make.js") + asset(name)


@cache
def _parts() -> Any:
    environment = jinja2.Environment(
        autoescape=True, loader=jinja2.FileSystemLoader(ASSETS), trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["none"] = NONE
    return environment.get_template("parts.html").module


def part(name: str, **values: Any) -> str:
    """Render a macro of assets/parts.html; every value is escaped."""
    return str(getattr(_parts(), name)(**values))


def figure(value: float | None, unit: str) -> str:
    """Write a value in its unit, as people read it.

    >>> figure(0.1234, "fraction"), figure(-1234.5, "quote"), figure(12, "days")
    ('12.34 %', '-1,234.50', '12 days')
    """
    if value is None or math.isnan(value):
        return NONE
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if unit == "fraction":
        return f"{value * 100:,.2f} %"
    if unit in {"count", "days", "bars"}:
        text = f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"
        return text if unit == "count" else f"{text} {unit}"
    return f"{value:,.2f}"


def number(value: float | None) -> str:
    """Write a price or an amount with the digits that it has, no more than eight beside those of whole units.

    >>> number(20123.4), number(0.00012), number(1234567890.5)
    ('20,123.4', '0.00012', '1,234,567,890')
    """
    if value is None or math.isnan(value):
        return NONE
    return f"{value:,.0f}" if 1e8 <= abs(value) < 1e15 else f"{value:,.8g}"
