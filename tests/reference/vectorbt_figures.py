"""vectorbt's figures of backtests, in an environment of its own: `python THIS FOLDER`.

FOLDER has cases.npz, a column a case: `open` and `close` (candles by cases), `fee` and `slippage`, `cash`, `freq`, and
either `held`, whether the close decides to be in the market, or `windows`, the pair whose moving averages decide. It
gets answer.npz: the figures by name, `value` by candle, the orders, and of days the ratios that are of candles else.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")


def crossings(closes: pd.DataFrame, windows: Any) -> Any:
    """Return where the fast average is above the slow one, by vectorbt's own averages."""
    import vectorbt  # type: ignore[import-not-found]

    held = np.empty(closes.shape, bool)
    for column, (fast, slow) in enumerate(windows.tolist()):
        close = closes[column]
        held[:, column] = vectorbt.MA.run(close, fast).ma_above(vectorbt.MA.run(close, slow)).to_numpy().ravel()
    return held


def portfolio_of(given: Any, closes: pd.DataFrame) -> Any:
    """Return vectorbt's portfolio, a column a case, of decisions at the close that are filled at the next open."""
    import vectorbt

    held = given["held"] if "held" in given else crossings(closes, given["windows"])
    nothing = np.zeros((1, held.shape[1]), bool)
    held = np.vstack([nothing, held[:-1]])
    before = np.vstack([nothing, held[:-1]])
    entries, exits = (pd.DataFrame(signals, closes.index) for signals in (held & ~before, ~held & before))
    return vectorbt.Portfolio.from_signals(
        closes,
        entries,
        exits,
        price=pd.DataFrame(given["open"], closes.index),
        fees=given["fee"],
        slippage=given["slippage"],
        init_cash=float(given["cash"]),
        freq=str(given["freq"]),
    )


def main(folder: Path) -> None:
    given = dict(np.load(folder / "cases.npz"))
    index = pd.date_range("2020-01-01", periods=len(given["close"]), freq=str(given["freq"]))
    made = portfolio_of(given, pd.DataFrame(given["close"], index))
    value, closed, orders = made.value(), made.trades.closed, made.orders.records
    ends = value.resample("1D").last()
    before = ends.shift(1)
    before.iloc[0] = float(given["cash"])
    days = (ends / before - 1).vbt.returns(freq="1D")
    figures = {
        "cumulative_return": made.total_return(),
        "annual_volatility": made.annualized_volatility(),
        "sharpe_ratio": made.sharpe_ratio(),
        "sortino_ratio": made.sortino_ratio(),
        "max_drawdown": made.max_drawdown(),
        "trades": made.trades.count(),
        "win_rate": closed.win_rate(),
        "profit_factor": closed.profit_factor(),
        "exposure_time": made.position_coverage(),
        "fees_paid": made.orders.fees.sum(),
        "annualized_return": made.annualized_return(),
        "win_rate_of_all": made.trades.win_rate(),
        "sharpe_ratio_of_days": days.sharpe_ratio(),
        "sortino_ratio_of_days": days.sortino_ratio(),
        "annual_volatility_of_days": days.annualized_volatility(),
    }
    columns = {f"order_{name}": orders[name].to_numpy() for name in orders}
    np.savez(folder / "answer.npz", value=value.to_numpy(), **columns, **{k: np.asarray(v) for k, v in figures.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
