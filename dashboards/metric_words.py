"""A run's metrics in words: the tiles of the headlines, and the rows of the portfolio table."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd

from dashboards.look import NONE, figure
from dashboards.queries import Run
from data.metrics import GROUPS, METRICS, PORTFOLIO, Metric
from data.sweep_metrics import SWEEP_METRICS, WALK_FORWARD_METRICS

_TONED = {"cumulative_return", "cagr", "net_profit"}
_NOT_LISTED = {"start", "end"}


class Words(NamedTuple):
    """A metric as it is shown."""

    name: str
    title: str
    value: str
    below: str
    meaning: str
    source: str
    tone: str


def described(name: str, unit: str) -> Metric:
    """Return what is said of a metric; of one that another version recorded, no more than its name."""
    known = METRICS.get(name) or SWEEP_METRICS.get(name) or WALK_FORWARD_METRICS.get(name)
    meaning = f"The lake has it as {name}; this version does not know what it means."
    return known or Metric(name, unit, name.replace("_", " ").capitalize(), meaning)


class Metrics:
    """The metrics of one run; `rows` are those of `queries.metrics`."""

    def __init__(self, run: Run, rows: pd.DataFrame) -> None:
        self._run = run
        self._rows = rows.to_dict("index")

    def tiles(self) -> list[Words]:
        """Return the headlines."""
        return [self._words(name, below) for name, below in _TILES.items()]

    def portfolio(self) -> list[tuple[str, list[Words]]]:
        """Return all metrics by tables: first the portfolio's, which begins with the lesson's five, then the rest."""
        shown = {*PORTFOLIO, *_NOT_LISTED}
        others = {
            title: [metric.name for metric in group if metric.name not in shown] for title, group in GROUPS.items()
        }
        more = [str(name) for name in self._rows if name not in METRICS]
        tables = {"Portfolio": PORTFOLIO, **others, "Others": more}
        return [(title, [self._words(name, None) for name in names]) for title, names in tables.items() if names]

    def text(self, name: str) -> str:
        """Return the value of a metric as people read it."""
        return figure(self._number(name, "value"), self._described(name).unit)

    def _described(self, name: str) -> Metric:
        return described(name, str(self._rows.get(name, {}).get("unit", "ratio")))

    def _number(self, name: str, part: str) -> float | None:
        value = self._rows.get(name, {}).get(part)
        return None if value is None or math.isnan(value) else float(value)

    def _words(self, name: str, below: Callable[[Metrics], str] | None) -> Words:
        metric = self._described(name)
        value = self._number(name, "value")
        tone = "" if name not in _TONED or not value else ("good" if value > 0 else "bad")
        remarks = [self._interval(name), below(self) if below and value is not None else "", self._note(name)]
        said = " · ".join(remark for remark in remarks if remark)
        return Words(name, metric.title, self.text(name), said, metric.meaning, metric.source, tone)

    def _interval(self, name: str) -> str:
        low, high = self._number(name, "low"), self._number(name, "high")
        if low is None or high is None:
            return ""
        unit = self._described(name).unit
        return f"95 %: {figure(low, unit)} to {figure(high, unit)}"

    def _note(self, name: str) -> str:
        if name not in self._rows:
            return "not recorded"
        note: Any = self._rows[name].get("note")
        return note if isinstance(note, str) else ""

    @property
    def run(self) -> Run:
        """The run that the metrics are about."""
        return self._run


_TILES: dict[str, Callable[[Metrics], str] | None] = {
    "cumulative_return": lambda m: f"buy and hold {m.text('buy_and_hold_return')}",
    "cagr": None,
    "sharpe_ratio": None,
    "sortino_ratio": None,
    "max_drawdown": lambda m: f"longest {m.text('max_drawdown_days')}",
    "annual_volatility": None,
    "win_rate": None,
    "profit_factor": None,
    "trades": lambda m: f"{m.text('open_trades')} open" if m.text("open_trades") not in {"0", NONE} else "all closed",
    "exposure_time": None,
    "final_equity": lambda m: f"from {figure(m.run.cash, 'quote')}",
    "fees_paid": lambda m: f"{m.run.fee * 100:g} % a side, slippage {m.run.slippage * 100:g} %",
}
