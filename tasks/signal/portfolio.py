"""Signals of many markets: one strategy on each with its share, or a strategy that weighs them all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from pandas import DataFrame

from data.errors import BadInput, StrategyError
from tasks.signal.signals import checked, finished, generated, signals, warmup_over
from tasks.signal.strategy import PortfolioStrategy, Strategy


def shares_of(symbols: Sequence[str], given: Mapping[str, float]) -> dict[str, float]:
    """Return each symbol's share of the equity: as given, or the same for all where none is.

    Raises BadInput for a share of another symbol, and when some symbols have one and others not.
    """
    if not given:
        return dict.fromkeys(symbols, 1.0 / len(symbols))
    for symbol in (*given, *symbols):
        if symbol not in symbols:
            raise BadInput(f"weight of {symbol}: it is not among the symbols {', '.join(symbols)}")
        if symbol not in given:
            raise BadInput(f"weight of {symbol}: give one for each symbol, or for none")
    return {symbol: given[symbol] for symbol in symbols}


def portfolio_signals(
    candles: Mapping[str, DataFrame], strategy: Strategy, shares: Mapping[str, float]
) -> dict[str, DataFrame]:
    """Return each symbol's signals frame, as `tasks.signal.signals.signals` makes it, `signal` being its weight.

    A strategy of one market is asked for each, and its target multiplied by the symbol's share. A portfolio strategy is
    asked once, has no use for shares, and may have a signal at an instant at which the symbol has no candle, which has
    a row with a `close` of NaN. Raises as `signals` does.
    """
    if isinstance(strategy, PortfolioStrategy):
        wide = side_by_side(candles)
        return {symbol: _from_listing(frame) for symbol, frame in weighed(wide, strategy).items()}
    return {symbol: _scaled(symbol, frame, strategy, shares[symbol]) for symbol, frame in candles.items()}


def side_by_side(candles: Mapping[str, DataFrame]) -> DataFrame:
    """Return the candles as a portfolio strategy sees them: columns of two levels, the candle's column and the symbol.

    The columns are those that all symbols have; the rows the instants of all, NaN where a symbol has no candle.
    """
    frames = list(candles.values())
    names = [name for name in frames[0].columns if all(name in frame.columns for frame in frames)]
    wide = {name: DataFrame({symbol: frame[name] for symbol, frame in candles.items()}) for name in names}
    return pd.concat(wide, axis=1)


def weighed(wide: DataFrame, strategy: PortfolioStrategy) -> dict[str, DataFrame]:
    """Ask a portfolio strategy; return each symbol's signals frame, a row for each of the candles' rows.

    Raises BadInput for too few candles, StrategyError when the strategy raises or returns no weights.
    """
    warmup = warmup_over(wide, strategy)
    output = generated(wide, strategy)
    if output.columns.nlevels != 2:
        raise StrategyError(
            f"{strategy.name} returned columns of one level: return two, a name and a symbol, such as "
            "concat({'target': weights}, axis=1) with one column a symbol in weights"
        )
    symbols = wide["close"].columns
    strange = [symbol for symbol in output.columns.unique(1) if symbol not in symbols]
    if strange:
        raise StrategyError(f"{strategy.name} returned columns of {strange[0]}, which is none of the symbols")
    found = {}
    for symbol in symbols:
        seen = _of(wide, symbol)
        try:
            found[symbol] = finished(checked(_of(output, symbol), seen, strategy), seen["close"], warmup)
        except StrategyError as error:
            raise StrategyError(f"{symbol}: {error}") from None
    return found


def _of(wide: DataFrame, symbol: str) -> DataFrame:
    """Return the columns of one symbol, under their names."""
    own = np.flatnonzero(wide.columns.get_level_values(1) == symbol)
    return wide.iloc[:, own].set_axis(wide.columns.get_level_values(0)[own], axis=1)


def _from_listing(frame: DataFrame) -> DataFrame:
    """Leave out what is before a symbol's first candle, and the instants that have neither a candle nor a signal."""
    known = frame["close"].notna()
    return frame[known.cummax() & (known | frame["signal"].notna())]


def _scaled(symbol: str, candles: DataFrame, strategy: Strategy, share: float) -> DataFrame:
    try:
        frame = signals(candles, strategy)
    except (BadInput, StrategyError) as error:
        raise type(error)(f"{symbol}: {error}") from None
    return frame.assign(signal=frame["signal"] * share, entry_exit=frame["entry_exit"] * share)
