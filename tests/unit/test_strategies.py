"""The strategies that come with Jarvis: known decisions, still markets, and the check on each."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas import DataFrame, Series

from tasks.signal import PortfolioStrategy, Strategy
from tasks.signal.check import check
from tasks.signal.indicators import ema_memory
from tasks.signal.market import invented_market
from tasks.signal.registry import create, strategies
from tasks.signal.signals import indicators_of, signals

PARAMETER_SETS: list[tuple[str, dict[str, object]]] = [
    ("sma_crossover", {}),
    ("sma_crossover", {"fast": 1, "slow": 2, "short": True}),
    ("sma_crossover", {"fast": 10, "slow": 20}),
    ("ema_crossover", {}),
    ("ema_crossover", {"fast": 1, "slow": 9, "short": True}),
    ("rsi_mean_reversion", {}),
    ("rsi_mean_reversion", {"window": 2, "oversold": 10, "recovered": 60, "overbought": 90, "short": True}),
    ("bollinger_bands", {}),
    ("bollinger_bands", {"window": 2, "width": 0.5, "short": True}),
    ("bollinger_bands", {"window": 55, "width": 1.0, "short": True}),
    ("macd", {}),
    ("macd", {"fast": 2, "slow": 5, "smooth": 3, "short": True}),
    ("donchian_breakout", {}),
    ("donchian_breakout", {"entry": 5, "exit": 30, "short": True}),
    ("donchian_breakout", {"entry": 1, "exit": 1}),
    ("volatility_targeted_momentum", {}),
    ("volatility_targeted_momentum", {"lookback": 5, "window": 40, "risk": 0.001, "steps": 100, "short": True}),
    ("buy_and_hold", {}),
]

OF_ONE_MARKET = [name for name, strategy in strategies().items() if not issubclass(strategy, PortfolioStrategy)]
"""Those of many are in `test_portfolio_signals`."""


def candles(closes: list[float] | np.ndarray | Series) -> DataFrame:
    close = np.asarray(closes, dtype=float)
    index = pd.date_range("2021-01-01", periods=len(close), freq="D", tz="UTC", unit="us", name="ts")
    return DataFrame({"open": close, "high": close, "low": close, "close": close, "volume": 1.0}, index=index)


def target(name: str, closes: list[float] | np.ndarray, **parameters: object) -> list[float]:
    """Return the signals, 9 where there is none."""
    return signals(candles(closes), create(name, parameters))["signal"].fillna(9).tolist()


def named(name: str, parameters: dict[str, object]) -> Strategy:
    return create(name, parameters)


@pytest.mark.parametrize(("name", "parameters"), PARAMETER_SETS)
def test_every_shipped_strategy_passes_the_check(name: str, parameters: dict[str, object]) -> None:
    report = check(named(name, parameters))
    assert report.findings == ()
    assert report.changes >= (1 if name == "buy_and_hold" else 5)


def test_every_shipped_strategy_is_among_those_checked() -> None:
    assert {name for name, _ in PARAMETER_SETS} == set(OF_ONE_MARKET)


@pytest.mark.parametrize("name", OF_ONE_MARKET)
def test_every_shipped_strategy_passes_the_check_on_real_candles(name: str, market_data: object) -> None:
    hourly = pd.read_csv(f"{market_data}/kraken_BTC-USD_1h_2021.csv")
    index = pd.DatetimeIndex(pd.to_datetime(hourly.pop("timestamp"), unit="s", utc=True), name="ts").as_unit("us")
    real = hourly.set_index(index).astype(float).iloc[-3_000:]
    assert check(named(name, {}), real).findings == ()


@pytest.mark.parametrize(("name", "parameters"), PARAMETER_SETS)
@pytest.mark.parametrize("price", [1e-8, 0.1, 64_100.37, 1e9])
def test_a_still_market_gives_no_infinity_and_no_reason_to_trade(
    name: str, parameters: dict[str, object], price: float
) -> None:
    strategy = named(name, parameters)
    result = signals(candles([price] * (strategy.warmup + 20)), strategy)
    assert np.isfinite(indicators_of(result).iloc[strategy.warmup :]).all().all()
    known = result["signal"].dropna()
    assert set(known) <= ({1.0} if name == "buy_and_hold" else {0.0})


@pytest.mark.parametrize("name", OF_ONE_MARKET)
@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_wild_markets_give_finite_numbers_and_the_same_decisions_from_any_history(name: str, seed: int) -> None:
    small = {"sma_crossover": {"fast": 3, "slow": 7}, "ema_crossover": {"fast": 2, "slow": 4}, "macd": SMALL_MACD}
    small |= {"rsi_mean_reversion": {"window": 3}, "bollinger_bands": {"window": 6, "width": 1}}
    small |= {
        "donchian_breakout": {"entry": 6, "exit": 3},
        "volatility_targeted_momentum": {"lookback": 9, "window": 4},
    }
    strategy = named(name, small.get(name, {}))
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 0.3, strategy.warmup + 80) * (rng.random(strategy.warmup + 80) < 0.5)
    market = candles(np.maximum(np.round(10 * np.exp(np.clip(steps.cumsum(), -6, 6)), int(rng.integers(0, 9))), 1e-8))
    full = signals(market, strategy)
    assert np.isfinite(indicators_of(full).iloc[strategy.warmup :]).all().all()
    dropped = int(rng.integers(1, 79))
    short = signals(market.iloc[dropped:], strategy)
    same = short.iloc[strategy.warmup :].drop(columns=["entry_exit", "signal"])
    assert same.equals(full.iloc[dropped + strategy.warmup :].drop(columns=["entry_exit", "signal"]))
    known = short["signal"].notna()
    assert short["signal"][known].equals(full["signal"].iloc[dropped:][known])


SMALL_MACD = {"fast": 2, "slow": 3, "smooth": 2}


def test_sma_crossover_holds_while_the_fast_average_is_above() -> None:
    closes = [5.0, 4, 3, 2, 3, 4, 5, 4, 3, 2]
    # averages over 2: -, 4.5, 3.5, 2.5, 2.5, 3.5, 4.5, 4.5, 3.5, 2.5
    # and over 4:      -, -, -, 3.5, 3, 3, 3.5, 4, 4, 3.5
    assert target("sma_crossover", closes, fast=2, slow=4) == [9, 9, 9, 0, 0, 1, 1, 1, 0, 0]
    assert target("sma_crossover", closes, fast=2, slow=4, short=True) == [9, 9, 9, -1, -1, 1, 1, 1, -1, -1]


def test_sma_crossover_is_flat_at_a_tie() -> None:
    closes = [0.1, 0.2, 0.3, 0.2, 0.1, 0.3, 0.2]
    assert target("sma_crossover", closes, fast=1, slow=3) == [9, 9, 1, 0, 0, 1, 0]
    assert target("sma_crossover", closes, fast=1, slow=3, short=True) == [9, 9, 1, -1, -1, 1, 0]


def test_sma_crossover_has_the_lessons_defaults_and_columns() -> None:
    strategy = create("sma_crossover", {})
    assert strategy.warmup == 99
    result = signals(invented_market(150), strategy)
    assert list(result.columns) == ["close", "fast", "slow", "signal", "entry_exit"]
    assert result["signal"].isna().sum() == 99
    closes = result["close"]
    assert result["fast"].iloc[-1] == pytest.approx(closes.iloc[-50:].mean())
    assert result["slow"].iloc[-1] == pytest.approx(closes.iloc[-100:].mean())


def test_a_million_candles_get_their_signals_well_under_a_second() -> None:
    closes = np.round(100 * np.exp(np.random.default_rng(0).normal(0, 0.001, 1_000_000).cumsum()), 2)
    market, strategy = candles(closes), create("sma_crossover", {})
    spent = []
    for _ in range(3):
        started = time.perf_counter()
        signals(market, strategy)
        spent.append(time.perf_counter() - started)
    assert min(spent) < 1


def test_ema_crossover_is_that_of_talib() -> None:
    strategy = create("ema_crossover", {"fast": 5, "slow": 20})
    assert strategy.warmup == ema_memory(20) - 1
    market = invented_market(2_000, seed=4).iloc[:600]
    result = signals(market, strategy).iloc[strategy.warmup + 100 :]
    fast, slow = (talib.EMA(market["close"], window).loc[result.index] for window in (5, 20))
    assert result["fast"].to_numpy() == pytest.approx(fast.to_numpy(), rel=1e-6)
    assert result["slow"].to_numpy() == pytest.approx(slow.to_numpy(), rel=1e-6)
    assert result["signal"].equals((fast > slow).astype(float).rename("signal"))


def test_ema_crossover_by_hand() -> None:
    rows = ema_memory(3)
    closes = [8.0] * rows + [16.0, 16.0, 0.0 + 4]
    # window 3 gives the newest half: 8, 12, 14, 9; window 1 is the close itself
    result = signals(candles(closes), create("ema_crossover", {"fast": 1, "slow": 3}))
    assert result["slow"].tolist()[-4:] == pytest.approx([8, 12, 14, 9], rel=1e-6)
    assert result["signal"].tolist()[-4:] == [0, 1, 1, 0]


def test_rsi_mean_reversion_buys_oversold_and_sells_recovered() -> None:
    market = invented_market(2_000, seed=2)
    result = signals(market, create("rsi_mean_reversion", {}))
    index = result["rsi"]
    entries = result.index[result["entry_exit"] == 1]
    exits = result.index[result["entry_exit"] == -1]
    assert len(entries) > 3
    assert (index[entries] < 30).all()
    assert (index[exits] > 50).all()
    held = result["signal"] == 1
    assert (index[held] <= 50).all()


def test_rsi_mean_reversion_sells_short_when_overbought() -> None:
    up = [*np.linspace(100, 60, 60), *np.linspace(60, 100, 60)]
    signal = target("rsi_mean_reversion", up, window=2, short=True)
    assert signal[40] == 1
    assert signal[-1] == -1
    assert 1 not in signal[62:]


def test_bollinger_bands_buy_below_the_lower_and_sell_above_the_middle() -> None:
    closes = [10.0, 10, 10, 10, 7, 7, 9, 10]
    # window 4, width 1: middle 10, 9.25, 8.5, 8.25, 8.25; deviation 0, 1.299, 1.5, 1.299, 1.299
    result = signals(candles(closes), create("bollinger_bands", {"window": 4, "width": 1}))
    assert result["middle"].tolist()[3:] == [10, 9.25, 8.5, 8.25, 8.25]
    assert result["lower"].tolist()[3:] == pytest.approx([10, 7.9510, 7.0, 6.9510, 6.9510], abs=1e-4)
    assert result["upper"].tolist()[3:] == pytest.approx([10, 10.5490, 10, 9.5490, 9.5490], abs=1e-4)
    assert result["signal"].fillna(9).tolist() == [9, 9, 9, 9, 1, 1, 0, 0]
    flipped = [20 - close for close in closes]
    assert target("bollinger_bands", [*closes, *flipped], window=4, width=1, short=True)[-4:] == [-1, -1, 0, 1]


def test_bollinger_bands_are_those_of_talib() -> None:
    market = invented_market(500)
    result = signals(market, create("bollinger_bands", {}))
    for column, expected in zip(("upper", "middle", "lower"), talib.BBANDS(market["close"], 20, 2.0, 2.0), strict=True):
        assert result[column].to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-6, nan_ok=True)


def test_macd_is_that_of_talib() -> None:
    market = invented_market(3_000, seed=6).iloc[:900]
    strategy = create("macd", {})
    result = signals(market, strategy).iloc[strategy.warmup + 100 :]
    line, average, histogram = (series.loc[result.index] for series in talib.MACD(market["close"], 12, 26, 9))
    assert result["macd"].to_numpy() == pytest.approx(line.to_numpy(), abs=1e-5)
    assert result["macd_average"].to_numpy() == pytest.approx(average.to_numpy(), abs=1e-5)
    assert result["histogram"].to_numpy() == pytest.approx(histogram.to_numpy(), abs=1e-5)
    clear = histogram.abs() > 1e-4
    assert (result["signal"][clear] == (histogram[clear] > 0)).all()


def test_macd_by_hand() -> None:
    rows = create("macd", {"fast": 1, "slow": 3, "smooth": 3}).warmup + 1
    # line: the close less its average (newest half): 0, 4, 2, -5; its own average: 0, 2, 2, -1.5
    result = signals(candles([8.0] * rows + [16.0, 16.0, 4.0]), create("macd", {"fast": 1, "slow": 3, "smooth": 3}))
    assert result["macd"].tolist()[-4:] == pytest.approx([0, 4, 2, -5], abs=1e-5)
    assert result["macd_average"].tolist()[-4:] == pytest.approx([0, 2, 2, -1.5], abs=1e-5)
    assert result["signal"].tolist()[-3] == 1
    assert result["signal"].tolist()[-1] == 0


def test_donchian_breakout_enters_above_the_highs_before_and_leaves_below_the_lows() -> None:
    market = candles([5.0, 6, 7, 6, 8, 9, 8, 7.5, 7, 10])
    market["high"] += 0.5
    market["low"] -= 0.5
    # the highest high of the 3 candles before, from the 4th on: 7.5, 7.5, 8.5, 9.5, 9.5, 9.5, 8.5
    # the lowest low of the 2 candles before: 5.5, 5.5, 5.5, 7.5, 7.5, 7, 6.5
    result = signals(market, create("donchian_breakout", {"entry": 3, "exit": 2}))
    assert result["upper"].tolist()[3:] == [7.5, 7.5, 8.5, 9.5, 9.5, 9.5, 8.5]
    assert result["lower"].tolist()[3:] == [5.5, 5.5, 5.5, 7.5, 7.5, 7.0, 6.5]
    assert result["signal"].fillna(9).tolist() == [9, 9, 9, 9, 1, 1, 1, 1, 1, 1]
    market.iloc[8, market.columns.get_loc("close")] = 6.75
    assert signals(market, create("donchian_breakout", {"entry": 3, "exit": 2}))["signal"].tolist()[7:] == [1, 0, 1]


def test_donchian_breakout_sells_short_below_the_lows_before() -> None:
    closes = [5.0, 5, 5, 6, 6, 6, 4, 4, 4, 5]
    # long from 6 above 5 until 4 below 6; short from 4 below the low of 3 before until 5 above 4, and long again
    assert target("donchian_breakout", closes, entry=3, exit=2, short=True) == [9, 9, 9, 1, 1, 1, -1, -1, -1, 1]


def test_momentum_is_held_the_less_the_more_volatile_the_market_is() -> None:
    calm = 100 * 1.001 ** np.arange(12)
    wild = 100 * np.cumprod([1.0] + [1.2, 0.9] * 6)[:12]
    parameters = {"lookback": 4, "window": 4, "risk": 0.05}
    result = signals(candles(wild), create("volatility_targeted_momentum", parameters))
    expected = np.std([0.2, -0.1, 0.2, -0.1], ddof=1)
    assert result["volatility"].tolist()[4:] == pytest.approx([expected] * 8)
    assert result["momentum"].tolist()[4:] == pytest.approx([1.08**2 - 1] * 8)
    # 0.05 / 0.1732 = 0.289: one of four steps
    assert result["signal"].fillna(9).tolist() == [9.0] * 4 + [0.25] * 8
    assert target("volatility_targeted_momentum", calm, **parameters) == [9.0] * 4 + [1.0] * 8
    assert target("volatility_targeted_momentum", calm[::-1], **parameters) == [9.0] * 4 + [0.0] * 8
    assert target("volatility_targeted_momentum", calm[::-1], **parameters, short=True) == [9.0] * 4 + [-1.0] * 8


def test_buy_and_hold_buys_once() -> None:
    result = signals(invented_market(5), create("buy_and_hold", {}))
    assert result["signal"].tolist() == [1] * 5
    assert result["entry_exit"].tolist() == [1, 0, 0, 0, 0]
