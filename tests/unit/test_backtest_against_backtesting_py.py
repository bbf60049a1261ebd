"""The engine against backtesting.py 0.6, where meanings coincide; `docs/engine.md` has where they do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from tasks.backtest import Simulation, simulate

# backtesting.py 0.6.6 reads an attribute of pandas' that pandas 3 renames.
pytestmark = pytest.mark.filterwarnings("ignore:DatetimeIndex.dayofweek is deprecated")

CASH = 100_000.0


def market(seed: int, *, jumps: bool, length: int = 1000) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, length)))
    open_ = np.concatenate(([50.0], close[:-1]))
    if jumps:
        open_ = open_ * np.exp(rng.normal(0, 0.01, length))
    tail = np.abs(rng.normal(0, 0.01, (2, length)))
    return pd.DataFrame(
        {
            "open": open_,
            "high": np.maximum(open_, close) * np.exp(tail[0]),
            "low": np.minimum(open_, close) * np.exp(-tail[1]),
            "close": close,
            "volume": 1.0,
        },
        index=pd.date_range("2020-01-01", periods=length, freq="D", tz="UTC", unit="us", name="ts"),
    )


def blocks(seed: int, length: int, sides: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """A target that holds for 8 bars; flat at both ends, as the peer decides nothing on the first bar."""
    target = np.repeat(np.random.default_rng(seed).choice(sides, length // 8), 8)
    target[:8] = target[-8:] = 0.0
    return target


def peer(
    candles: pd.DataFrame,
    target: npt.NDArray[np.float64],
    *,
    size: float,
    fee: float,
    stop_loss: float | None = None,
    take_profit: float | None = None,
) -> Any:
    """Run backtesting.py on the same decisions; return its statistics."""
    from backtesting import Backtest, Strategy

    opens = candles["open"].to_numpy()

    class Follow(Strategy):
        def init(self) -> None:
            self.acted = 0.0

        def next(self) -> None:
            bar = len(self.data) - 1
            wanted = target[bar]
            if wanted == self.acted:
                return
            self.acted = wanted
            for trade in self.trades:
                # Its stop would otherwise be looked for before the order at the open.
                trade.sl = trade.tp = None
                trade.close()
            if wanted:
                # Its stops are prices given with the order, ours hang on the price of the fill, here the next open.
                entry = opens[bar + 1]
                stops = {
                    "sl": None if stop_loss is None else entry * (1 - wanted * stop_loss),
                    "tp": None if take_profit is None else entry * (1 + wanted * take_profit),
                }
                order = self.buy if wanted > 0 else self.sell
                order(size=size, **stops)

    frame = candles.tz_localize(None).rename(columns=str.title)
    return Backtest(frame, Follow, cash=CASH, commission=fee, trade_on_close=False).run()


def assert_same(ours: Simulation, stats: Any, candles: pd.DataFrame) -> None:
    theirs = stats["_trades"].sort_values(["EntryBar", "ExitBar"])
    trades = ours.trades
    assert len(trades) > 25
    assert list(candles.index.get_indexer(trades.entry_ts)) == list(theirs.EntryBar)
    assert list(candles.index.get_indexer(trades.exit_ts)) == list(theirs.ExitBar)
    side = trades.side.map({"long": 1, "short": -1}).astype(int)
    assert list(side * trades.amount) == list(theirs.Size)
    assert list(trades.entry_price) == pytest.approx(list(theirs.EntryPrice), rel=1e-12)
    assert list(trades.exit_price) == pytest.approx(list(theirs.ExitPrice), rel=1e-12)
    assert list(trades.fees) == pytest.approx(list(theirs.Commission), rel=1e-9)
    assert list(trades.profit) == pytest.approx(list(theirs.PnL), rel=1e-9, abs=1e-9 * CASH)
    assert list(ours.equity.equity[1:]) == pytest.approx(list(stats["_equity_curve"].Equity[1:]), rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sides", [(0.0, 1.0), (0.0, -1.0), (-1.0, 0.0, 1.0)])
def test_a_fixed_amount_gives_the_same_trades_and_equity(seed: int, sides: tuple[float, ...]) -> None:
    candles = market(seed, jumps=True)
    target = blocks(seed, len(candles), sides)
    ours = simulate(candles, target, cash=CASH, fee=0.002, slippage=0.0, amount=100)
    if sides == (-1.0, 0.0, 1.0):
        assert set(ours.trades.side) == {"long", "short"}
    assert_same(ours, peer(candles, target, size=100, fee=0.002), candles)


@pytest.mark.parametrize("seed", range(3))
def test_whole_units_for_nearly_all_the_equity_give_the_same_trades_and_equity(seed: int) -> None:
    candles = market(seed, jumps=True)
    target = blocks(seed, len(candles), (-1.0, 0.0, 1.0))
    ours = simulate(candles, target, cash=CASH, fee=0.002, slippage=0.0, fraction=0.9, amount_step=1)
    assert_same(ours, peer(candles, target, size=0.9, fee=0.002), candles)


@pytest.mark.parametrize("seed", range(3))
def test_stops_give_the_same_trades_where_the_open_jumps_over_them(seed: int) -> None:
    candles = market(seed, jumps=True)
    target = blocks(seed, len(candles), (-1.0, 0.0, 1.0))
    ours = simulate(candles, target, cash=CASH, fee=0.002, slippage=0.0, amount=100, stop_loss=0.05)
    assert (ours.trades.exit_reason == "stop_loss").sum() > 15
    assert_same(ours, peer(candles, target, size=100, fee=0.002, stop_loss=0.05), candles)


@pytest.mark.parametrize("seed", range(3))
def test_stops_and_take_profits_give_the_same_trades_where_nothing_jumps(seed: int) -> None:
    candles = market(seed, jumps=False)
    target = blocks(seed, len(candles), (-1.0, 0.0, 1.0))
    stops = {"stop_loss": 0.04, "take_profit": 0.03}
    ours = simulate(candles, target, cash=CASH, fee=0.002, slippage=0.0, amount=100, **stops)
    assert (ours.trades.exit_reason == "take_profit").sum() > 15
    assert (ours.trades.exit_reason == "stop_loss").sum() > 5
    assert_same(ours, peer(candles, target, size=100, fee=0.002, **stops), candles)
