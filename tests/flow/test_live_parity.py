"""The live flow's step, fed recorded candles one at a time, is the backtest of these candles, bit for bit."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.markets import Market
from data.runs import read_run
from data.timeframe import parse_timeframe
from data.writer import Lake
from flows.parameters import LiveParameters
from tasks.backtest import Simulation, simulate
from tasks.signal import generate_signals
from tasks.signal.registry import create
from tests.servers.recorded_market import EXCHANGE, replay

MARKET = Market(
    EXCHANGE, "BTC/USD", base="BTC", quote="USD", amount_step=0.0001, price_step=0.1, min_amount=0.001, min_cost=0.5,
    maker=0.0025, taker=0.004,
)  # fmt: skip
FIRST = 230
"""The candle at whose close the session begins; those before it are history."""

STRATEGIES: dict[str, dict[str, Any]] = {
    "buy_and_hold": {},
    "sma_crossover": {"fast": 3, "slow": 8},
    "ema_crossover": {"fast": 3, "slow": 8},
    "macd": {"fast": 3, "slow": 7, "smooth": 3},
    "rsi_mean_reversion": {"window": 4},
    "bollinger_bands": {"window": 6, "width": 1.0},
    "donchian_breakout": {"entry": 6, "exit": 3},
    "volatility_targeted_momentum": {},
}
STOPS = {"stop_loss": 0.01, "take_profit": 0.02, "trailing_stop": 0.012}
LIMITS = {
    "max_position": 40_000.0, "max_order": 30_000.0, "max_orders_a_day": 6, "daily_loss": 0.03, "max_drawdown": 0.2,
    "cooldown": 2, "max_deviation": 0.02, "max_signal_age": 7200.0,
}  # fmt: skip


def candle_rows(candles: pd.DataFrame) -> pd.DataFrame:
    """Rows of the table candles."""
    series = {"exchange": EXCHANGE, "symbol": "BTC/USD", "timeframe": "1h"}
    return candles.reset_index().assign(**series, fetched_at=candles.index[-1], revision=0)


def random_candles(seed: int, count: int) -> pd.DataFrame:
    """Hourly candles with some that are absent, and opens that jump."""
    dice = np.random.default_rng(seed)
    closes = 20_000 * np.exp(np.cumsum(dice.normal(0, 0.012, count)))
    opens = np.concatenate([[20_000.0], closes[:-1]]) * np.exp(dice.normal(0, 0.004, count))
    spread = np.abs(dice.normal(0, 0.006, (2, count)))
    index = pd.date_range("2024-03-01", periods=count, freq="h", tz="UTC", unit="us", name="ts")
    table = {
        "open": opens, "high": np.maximum(opens, closes) * (1 + spread[0]),
        "low": np.minimum(opens, closes) * (1 - spread[1]), "close": closes,
        "volume": dice.uniform(1, 9, count),
    }  # fmt: skip
    candles = pd.DataFrame({name: np.round(values, 1) for name, values in table.items()}, index=index)
    kept = np.ones(count, bool)
    kept[dice.integers(FIRST + 5, count - 5, 4)] = False
    return candles[kept]


def backtested(candles: pd.DataFrame, parameters: LiveParameters, first: int) -> Simulation:
    """The backtest of what a session that began at candle `first` saw, from there on."""
    strategy = create(parameters.strategy, parameters.params)
    signals = generate_signals(candles, strategy)
    age = parameters.max_signal_age or 2 * parse_timeframe(parameters.timeframe).total_seconds()
    named = parameters.model_dump()
    simulation: Simulation = simulate(
        candles.iloc[first:],
        signals["signal"].iloc[first:],
        symbol="BTC/USD",
        cash=parameters.cash,
        fee=0.004,
        slippage=parameters.slippage,
        fraction=parameters.fraction,
        amount_step=MARKET.amount_step,
        min_amount=MARKET.min_amount,
        min_cost=MARKET.min_cost,
        timeframe=parse_timeframe(parameters.timeframe),
        long_only=True,
        **{name: named[name] for name in (*STOPS, *LIMITS) if name != "max_signal_age"},
        max_signal_age=age,
    )
    return simulation


@pytest.mark.parametrize(
    ("strategy", "rules", "kept"),
    [
        pytest.param("sma_crossover", {}, False, id="plain, every step opened anew"),
        pytest.param("donchian_breakout", STOPS, False, id="stops, every step opened anew"),
        pytest.param("sma_crossover", STOPS | LIMITS, True, id="limits, a stream"),
        *(
            pytest.param(name, STOPS | LIMITS, True, id=f"{name}, limits, a stream", marks=pytest.mark.slow)
            for name in STRATEGIES
            if name != "sma_crossover"
        ),
    ],
)
def test_the_session_is_the_backtest_bit_for_bit(lake: Lake, strategy: str, rules: dict[str, Any], kept: bool) -> None:
    candles = random_candles(len(strategy) + len(rules), FIRST + 45)
    lake.append("candles", candle_rows(candles))
    parameters = LiveParameters(
        exchange=EXCHANGE, timeframe="1h", strategy=strategy, params=STRATEGIES[strategy], cash=50_000.0, history=500,
        **rules,
    )  # fmt: skip
    with ExitStack() as stack:
        session = replay(lake, candles, parameters, MARKET, FIRST, stack)
        for position in range(FIRST, len(candles)):
            if not kept:
                session.session.desks.clear()
            (outcome,) = session.step(position)
            assert not outcome.failure
    expected = backtested(candles, parameters, FIRST)
    assert_same(lake, outcome.run_id, expected, candles)


def assert_same(lake: Lake, run: str, expected: Simulation, candles: pd.DataFrame) -> None:
    """Compare the rows of a session with a simulation: == on every number."""
    equity = read_run(lake, run, "equity")
    for name in ("cash", "position", "price", "equity", "drawdown"):
        assert equity[name].tolist() == expected.equity[name].tolist(), name
    fills = read_run(lake, run, "fills").sort_values("ts", ignore_index=True)
    fills = fills[fills["ts"] < candles.index[-1] + pd.Timedelta("1h")]  # the backtest's last decision has no next open
    assert fills["order_id"].tolist() == expected.fills["order_id"].tolist()
    for name in ("side", "price", "amount", "fee", "reason", "trade_id"):
        assert fills[name].tolist() == expected.fills[name].tolist(), name
    assert fills["ts"].dt.floor("h").tolist() == expected.fills["ts"].tolist()
    orders = expected.orders[expected.orders["event"] == "filled"]
    assert len(orders) == len(fills) > 0
    decisions = read_run(lake, run, "decisions")
    assert decisions["ts"].tolist() == list(equity["ts"])
    assert (decisions["ts"].diff().dropna() >= pd.Timedelta("1h")).all()
    ended = expected.trades[expected.trades["status"] == "closed"]
    made = read_run(lake, run, "trades").iloc[: len(ended)]
    for name in ("side", "status", "entry_ts", "exit_ts", "entry_price", "exit_price", "profit", "exit_reason",
                 "worst_excursion", "best_excursion"):  # fmt: skip
        assert made[name].tolist() == ended[name].tolist(), name
