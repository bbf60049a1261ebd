"""Backtests in numbers alone, for sweeps: the passes of `simulate` without its tables, over many targets at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Unpack

import numpy as np
import pandas as pd

from tasks.engine import codes, inputs
from tasks.engine.changes import Changes, joined, spread
from tasks.engine.costs import read_costs
from tasks.engine.detail import Detail, fine_of
from tasks.engine.fees import read_tiers
from tasks.engine.rules import Terms, check_cash, read_terms, target_decides

if TYPE_CHECKING:
    from tasks.engine.codes import Log
    from tasks.engine.inputs import Bars, Floats, Ints


@dataclass(frozen=True)
class Measured:
    """What backtests came to, a row each."""

    values: Floats
    """Equity at the closes that were asked for, a column each, in quote currency."""
    tallies: Log
    """Rows as in `tasks.engine.codes.TALLY`."""


class Course:
    """Candles, costs and rules, checked once, over which many targets are backtested.

    `ends` are the positions of the candles at whose closes the equity is wanted, increasing, the last candle's among
    them. The rest is as in `simulate`, and so is the meaning; memory is that of one equity at each of the `ends`.
    Raises BadInput as `simulate` does.
    """

    def __init__(
        self,
        candles: pd.DataFrame,
        ends: Ints,
        *,
        cash: float,
        timeframe: timedelta,
        detail: Detail | None = None,
        **terms: Unpack[Terms],
    ) -> None:
        self.cash = check_cash(cash)
        self._rules, self._limits = read_terms(terms)
        self._bars: Bars = inputs.read_bars(candles)
        inputs.check_prices(self._bars)
        self._fine = fine_of(detail, candles, self._rules)
        self._ts = inputs.read_instants(self._bars.ts)
        self._length = inputs.find_length(self._bars.ts, timeframe)
        self._costs = read_costs(terms, self._rules, candles, self._bars, self._length)
        self._tiers = read_tiers(terms.get("fee_tiers"))
        self._ends = np.ascontiguousarray(ends, np.int64)

    def measure(self, targets: Sequence[Changes]) -> Measured:
        """Backtest each target on an account of its own. May be called from many threads."""
        into = Measured(np.empty((len(targets), len(self._ends))), np.zeros(len(targets), codes.TALLY))
        if target_decides(self._rules, self._limits):
            self._from_change_to_change(targets, into)
        else:
            self._bar_by_bar(targets, into)
        return into

    def _from_change_to_change(self, targets: Sequence[Changes], into: Measured) -> None:
        from tasks.engine import kernel

        accounts, orders, trades = self._books(len(targets))
        many, (lowest, highest) = joined(targets), self._extremes
        kernel.follow(
            *(accounts, orders, trades, self._ts, *self._bars[1:], lowest, highest, *many),
            *(self._rules, self._limits, self._ends, into.values, into.tallies),
        )

    def _bar_by_bar(self, targets: Sequence[Changes], into: Measured) -> None:
        from tasks.engine import kernel

        for row, target in enumerate(targets):
            accounts, orders, trades = self._books(1)
            goal = inputs.frozen(spread(target, len(self._ts)))
            kernel.measure(
                *(accounts, orders, trades, self._ts, *self._bars[1:], goal, self._fine, self._costs),
                *(self._rules, self._limits, self._ends, into.values[row], into.tallies[row : row + 1]),
            )

    def _books(self, count: int) -> tuple[Log, Log, Log]:
        """Return so many accounts, and room for the orders and trades of a bar."""
        from tasks.engine import kernel

        account = kernel.new_account(self.cash, self._rules, self._limits, self._length, self._tiers)
        rows = 2 * codes.ORDERS_A_BAR
        return np.repeat(account, count), np.empty(rows, codes.ORDER), np.empty(rows, codes.TRADE)

    @cached_property
    def _extremes(self) -> tuple[Floats, Floats]:
        from tasks.engine import kernel

        return kernel.extremes(self._bars.closes)
