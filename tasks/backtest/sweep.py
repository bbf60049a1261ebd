"""Backtests in numbers alone, for sweeps: the pass of `simulate` without its tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Unpack

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.engine import codes, inputs
from tasks.engine.costs import read_costs
from tasks.engine.rules import Terms, check_cash, read_terms

if TYPE_CHECKING:
    from tasks.engine.codes import Log
    from tasks.engine.inputs import Bars, Floats, Ints


@dataclass(frozen=True)
class Measured:
    """What a backtest came to."""

    values: Floats
    """Equity at the closes that were asked for, in quote currency."""
    tally: Log
    """One row as in `tasks.engine.codes.TALLY`."""


class Course:
    """Candles, costs and rules, checked once, over which many targets are backtested.

    `ends` are the positions of the candles at whose closes the equity is wanted, increasing, the last candle's among
    them. The rest is as in `simulate`, and so is the meaning; memory is that of one equity at each of the `ends`.
    Raises BadInput as `simulate` does.
    """

    def __init__(
        self, candles: pd.DataFrame, ends: Ints, *, cash: float, timeframe: timedelta, **terms: Unpack[Terms]
    ) -> None:
        self.cash = check_cash(cash)
        self._rules, self._limits = read_terms(terms)
        self._bars: Bars = inputs.read_bars(candles)
        inputs.check_prices(self._bars)
        self._index = candles.index
        self._ts = inputs.read_instants(self._bars.ts)
        self._length = inputs.find_length(self._bars.ts, timeframe)
        self._costs, self._tiers = read_costs(terms, self._rules, candles, self._bars, self._length)
        self._ends = np.ascontiguousarray(ends, np.int64)

    def measure(self, target: npt.ArrayLike) -> Measured:
        """Backtest one target. Raises BadInput where it does not fit the candles; may be called from many threads."""
        from tasks.engine import kernel

        goal = inputs.read_target(target, self._index)
        account = kernel.new_account(self.cash, self._rules, self._limits, self._length, self._tiers)
        rows = 2 * codes.ORDERS_A_BAR
        orders, trades = np.empty(rows, codes.ORDER), np.empty(rows, codes.TRADE)
        values, tally = np.empty(len(self._ends)), np.zeros(1, codes.TALLY)
        series = (self._ts, *self._bars[1:], goal, self._costs)
        kernel.measure(account, orders, trades, *series, self._rules, self._limits, self._ends, values, tally)
        return Measured(values, tally)
