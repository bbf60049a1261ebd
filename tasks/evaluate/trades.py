"""What the closed trades won and lost, how often and for how long."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data.errors import BadInput
from tasks.evaluate.account import DAY, Flags, Floats, Ints, instants, numbers, require
from tasks.evaluate.figure import Figure, Figures, absent, figure, ratio
from tasks.evaluate.returns import NORMAL_95
from tasks.evaluate.sample import ROUNDING

_NO_TRADES = "no closed trade"
_COLUMNS = ("side", "status", "entry_ts", "exit_ts", "profit", "return", "bars_held")


@dataclass(frozen=True)
class Trades:
    """The closed trades in order of exit, one entry each, and the profits of the open ones."""

    long: Flags
    profit: Floats
    returns: Floats
    days: Floats
    bars: Floats
    exits: Ints
    """Instants of the exits, in microseconds."""
    open_profit: Floats

    @property
    def won(self) -> Flags:
        """Which trades ended with a profit above 0."""
        return self.profit > 0

    @property
    def lost(self) -> Flags:
        """Which trades ended with a profit below 0."""
        return self.profit < 0


def read_trades(trades: pd.DataFrame) -> Trades:
    """Check the trades. Raises BadInput for absent columns or values, and for a side or status that is unknown."""
    require(trades, "trades", _COLUMNS)
    _among(trades["side"], "trades.side", ("long", "short"))
    _among(trades["status"], "trades.status", ("closed", "open"))
    closed = trades[(trades["status"] == "closed").to_numpy(dtype=bool)]
    entries, exits = instants(closed["entry_ts"], "trades.entry_ts"), instants(closed["exit_ts"], "trades.exit_ts")
    order = np.argsort(exits, kind="stable")
    return Trades(
        long=(closed["side"] == "long").to_numpy(dtype=bool)[order],
        profit=numbers(closed["profit"], "trades.profit")[order],
        returns=numbers(closed["return"], "trades.return")[order],
        days=((exits - entries) / DAY)[order],
        bars=numbers(closed["bars_held"], "trades.bars_held")[order],
        exits=exits[order],
        open_profit=numbers(trades.loc[(trades["status"] == "open").to_numpy(dtype=bool), "profit"], "trades.profit"),
    )


def trade_figures(trades: Trades) -> Figures:
    """Compute counts, profits, returns, durations and streaks of the trades."""
    return {
        "trades": figure(len(trades.profit) + len(trades.open_profit)),
        "closed_trades": figure(len(trades.profit)),
        "open_trades": figure(len(trades.open_profit)),
        "open_profit": figure(trades.open_profit.sum()),
        "long_trades": figure(trades.long.sum()),
        "short_trades": figure((~trades.long).sum()),
        "long_profit": figure(trades.profit[trades.long].sum()),
        "short_profit": figure(trades.profit[~trades.long].sum()),
        "max_win_streak": figure(longest_streak(trades.won)),
        "max_loss_streak": figure(longest_streak(trades.lost)),
        **_profit_figures(trades),
        **_average_figures(trades),
    }


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % score interval of a proportion (Wilson, 1927)."""
    share, z2 = successes / trials, NORMAL_95**2
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    reach = NORMAL_95 / (1 + z2 / trials) * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def longest_streak(flags: Flags) -> int:
    """Return the length of the longest unbroken row of true."""
    breaks = np.flatnonzero(np.concatenate(([True], ~flags, [True])))
    return int(np.diff(breaks).max()) - 1


def _profit_figures(trades: Trades) -> Figures:
    names = ("win_rate", "profit_factor", "expectancy", "payoff_ratio", "sqn", "kelly_criterion")
    count = len(trades.profit)
    if not count:
        return dict.fromkeys(names, absent(_NO_TRADES))
    wins = int(trades.won.sum())
    won, lost = trades.profit[trades.won], -trades.profit[trades.lost]
    payoff = _payoff(won, lost)
    return {
        "win_rate": figure(wins / count, wilson_interval(wins, count)),
        "profit_factor": ratio(won.sum(), lost.sum(), "no trade lost"),
        "expectancy": figure(trades.profit.mean()),
        "payoff_ratio": payoff,
        "sqn": _system_quality(trades.profit),
        "kelly_criterion": _kelly(wins / count, payoff),
    }


def _average_figures(trades: Trades) -> Figures:
    return {
        "best_trade": figure(trades.returns.max()) if len(trades.returns) else absent(_NO_TRADES),
        "worst_trade": figure(trades.returns.min()) if len(trades.returns) else absent(_NO_TRADES),
        "average_trade": _mean(trades.returns, _NO_TRADES),
        "average_win": _mean(trades.returns[trades.won], "no trade won"),
        "average_loss": _mean(trades.returns[trades.lost], "no trade lost"),
        "average_trade_days": _mean(trades.days, _NO_TRADES),
        "max_trade_days": figure(trades.days.max()) if len(trades.days) else absent(_NO_TRADES),
        "average_win_days": _mean(trades.days[trades.won], "no trade won"),
        "average_loss_days": _mean(trades.days[trades.lost], "no trade lost"),
        "average_trade_bars": _mean(trades.bars, _NO_TRADES),
    }


def _mean(values: Floats, otherwise: str) -> Figure:
    return figure(values.mean()) if len(values) else absent(otherwise)


def _payoff(won: Floats, lost: Floats) -> Figure:
    if not len(won):
        return absent("no trade won")
    return ratio(won.mean(), lost.mean(), "") if len(lost) else absent("no trade lost")


def _kelly(win_rate: float, payoff: Figure) -> Figure:
    if payoff.value is None:
        return payoff
    return figure(win_rate - (1 - win_rate) / payoff.value) if payoff.value else absent("winners won next to nothing")


def _system_quality(profit: Floats) -> Figure:
    if len(profit) < 2:
        return absent("needs 2 closed trades")
    mean, deviation = float(profit.mean()), float(profit.std(ddof=1))
    if deviation <= ROUNDING * abs(mean):
        return absent("the profits do not vary")
    return figure(math.sqrt(len(profit)) * mean / deviation)


def _among(column: pd.Series, name: str, known: tuple[str, ...]) -> None:
    strange = column[~column.isin(known)]
    if len(strange):
        raise BadInput(f"{name} is '{strange.iloc[0]}': it must be {' or '.join(known)}")
