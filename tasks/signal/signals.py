"""From candles and a strategy to checked signals."""

from __future__ import annotations

import inspect
import operator
from pathlib import Path

import numpy as np
from pandas import DataFrame, Series

from data.errors import BadInput, StrategyError
from tasks.signal.blame import line_in, one_line
from tasks.signal.strategy import PortfolioStrategy, Strategy

OWN = ("close", "signal", "entry_exit")
"""Columns of a signals frame that are no indicators."""


def signals(candles: DataFrame, strategy: Strategy) -> DataFrame:
    """Return, for each candle, `close`, the strategy's indicators, `signal` and `entry_exit` (all float64).

    `signal` is the wanted position at the candle's close as a fraction of equity, -1 to 1; NaN in the warm-up and
    wherever the strategy gives none. `entry_exit` is its change from the last signal before (0 before the first), so 1
    is a buy and -1 a sell of a strategy that is either invested or not; NaN where there is no signal.

    Raises BadInput when there are too few candles or the strategy is one for many markets, StrategyError when it raises
    or returns no signals. The caller's candles are never altered.
    """
    if isinstance(strategy, PortfolioStrategy):
        raise BadInput(f"{strategy.name} weighs many markets against each other: backtest it on several symbols")
    warmup = warmup_over(candles, strategy)
    return finished(checked(generated(candles, strategy), candles, strategy), candles["close"], warmup)


def warmup_over(candles: DataFrame, strategy: Strategy) -> int:
    """Return the strategy's warm-up. Raises BadInput when there are no candles beyond it."""
    warmup = warmup_of(strategy)
    if len(candles) <= warmup:
        raise BadInput(
            f"{strategy.name} needs {warmup + 1} candles or more ({warmup} to warm up), but there are {len(candles)}: "
            "take a longer history or smaller parameters"
        )
    return warmup


def finished(output: DataFrame, close: Series, warmup: int) -> DataFrame:
    """Turn a checked answer into a signals frame."""
    signal = output.pop("target")
    signal.iloc[:warmup] = np.nan
    before = signal.ffill().shift(1).fillna(0.0)
    output.insert(0, "close", close.astype(np.float64))
    return output.assign(signal=signal, entry_exit=signal - before)


def indicators_of(frame: DataFrame) -> DataFrame:
    """Return the indicator columns of a frame of `signals`."""
    return frame[[name for name in frame.columns if name not in OWN]]


def warmup_of(strategy: Strategy) -> int:
    """Return the strategy's warm-up; raises StrategyError when it is no number of candles."""
    try:
        warmup = operator.index(strategy.warmup)
    except Exception as error:
        raise _raised(strategy, error, "warmup") from error
    if warmup < 0:
        raise StrategyError(f"{strategy.name}: warmup is {warmup}; it is a number of candles, 0 or more")
    return warmup


def generated(candles: DataFrame, strategy: Strategy) -> DataFrame:
    """Ask the strategy. Raises StrategyError when it raises, or answers with anything but a frame."""
    try:
        output = strategy.generate(candles.copy())
    except (Exception, SystemExit) as error:
        raise _raised(strategy, error, "generate") from error
    if not isinstance(output, DataFrame):
        raise StrategyError(
            f"{strategy.name} returned a {type(output).__name__}: return a DataFrame with the column 'target'"
        )
    return output


def _raised(strategy: Strategy, error: BaseException, where: str) -> StrategyError:
    """Build the error for what a strategy raised, with the last line of its own file that was involved."""
    source = inspect.getsourcefile(type(strategy)) or ""
    line = line_in(source, error)
    place = f"{Path(source).name}, line {line}" if line else where
    return StrategyError(f"{strategy.name} failed in {place}: {one_line(error)}")


def checked(output: DataFrame, candles: DataFrame, strategy: Strategy) -> DataFrame:
    """Return the indicators and the target as float64; raise StrategyError for the first thing that is wrong."""
    name = strategy.name
    _check_index(output, candles, name)
    if not output.columns.is_unique:
        double = output.columns[output.columns.duplicated()][0]
        raise StrategyError(f"{name} returned the column '{double}' twice")
    if "target" not in output.columns:
        raise StrategyError(
            f"{name} returned no column 'target', only: {', '.join(map(str, output.columns)) or 'none'}"
        )
    columns = {}
    for column in output.columns:
        values = output[column]
        if column in candles.columns:
            _check_untouched(values, candles[column], name)
        elif column in OWN:
            raise StrategyError(f"{name} returned the column '{column}', a name that is taken: use another")
        else:
            columns[str(column)] = _numbers(values, name)
    target = columns["target"]
    _refuse(target, target.abs() > 1, f"{name}: target is outside -1 to 1")
    return DataFrame(columns, index=candles.index)


def _check_index(output: DataFrame, candles: DataFrame, name: str) -> None:
    if len(output) != len(candles):
        raise StrategyError(f"{name} returned {len(output)} rows for {len(candles)} candles: return one for each")
    if not output.index.equals(candles.index):
        differs = np.flatnonzero(np.asarray(output.index) != np.asarray(candles.index))
        first = candles.index[differs[0]] if len(differs) else candles.index[0]
        raise StrategyError(f"{name} returned another index than the candles', first at {first}: keep theirs")


def _check_untouched(values: Series, original: Series, name: str) -> None:
    """Candle columns may be handed back, but not altered: nobody would know which of the two is meant."""
    if not values.equals(original):
        raise StrategyError(f"{name} returned the candles' column '{original.name}' altered: give it a name of its own")


def _numbers(values: Series, name: str) -> Series:
    if getattr(values.dtype, "kind", "O") not in "biuf":
        raise StrategyError(f"{name}: the column '{values.name}' holds {values.dtype}, not numbers")
    numbers = Series(values.to_numpy(dtype=np.float64, na_value=np.nan), index=values.index)
    _refuse(numbers, numbers.abs() == np.inf, f"{name}: {values.name} is infinite")
    return numbers


def _refuse(values: Series, wrong: Series, complaint: str) -> None:
    if wrong.any():
        first = int(wrong.argmax())
        raise StrategyError(f"{complaint}: {values.iloc[first]:g} at {values.index[first]} ({wrong.sum()} candles)")
