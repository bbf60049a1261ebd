"""Agreement with quantstats, empyrical-reloaded and backtesting.py where they mean the same."""

from __future__ import annotations

import math
from typing import Any

import backtesting
import empyrical
import numpy as np
import pandas as pd
import pytest
import quantstats.stats as quantstats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tasks.evaluate.metrics import evaluate
from tests.unit.evaluate_runs import candles_of, curve_of, equity_of, fills_of, instants, measured, random_returns

SEEDS = range(4)
CALENDARS = [("24/7", 365), ("XNYS", 252)]


def dated(returns: np.ndarray) -> pd.Series:
    return pd.Series(returns, index=instants(len(returns)).tz_localize(None))


def theirs(returns: np.ndarray, market: np.ndarray, periods: int) -> dict[str, dict[str, float]]:
    """What each library makes of the same returns, under our names; only shared definitions."""
    own, other = dated(returns), dated(market)
    greeks = quantstats.greeks(own, other, periods=periods)
    alpha, beta = empyrical.alpha_beta_aligned(returns, market, annualization=periods)
    return {
        "quantstats": {
            "sharpe_ratio": quantstats.sharpe(own, periods=periods),
            "sortino_ratio": quantstats.sortino(own, periods=periods),
            "annual_volatility": quantstats.volatility(own, periods=periods),
            "cumulative_return": quantstats.comp(own),
            "max_drawdown": quantstats.max_drawdown(own),
            "omega_ratio": quantstats.omega(own, periods=periods),
            "skew": quantstats.skew(own),
            "kurtosis": quantstats.kurtosis(own),
            "conditional_value_at_risk": quantstats.conditional_value_at_risk(own, method="historical"),
            "tail_ratio": quantstats.tail_ratio(own),
            "alpha": greeks["alpha"],
            "beta": greeks["beta"],
            "best_period": quantstats.best(own),
            "worst_period": quantstats.worst(own),
        },
        "empyrical": {
            "sharpe_ratio": empyrical.sharpe_ratio(returns, annualization=periods),
            "sortino_ratio": empyrical.sortino_ratio(returns, annualization=periods),
            "annual_volatility": empyrical.annual_volatility(returns, annualization=periods),
            "cumulative_return": empyrical.cum_returns_final(returns),
            "max_drawdown": empyrical.max_drawdown(returns),
            "omega_ratio": empyrical.omega_ratio(returns, annualization=periods),
            "value_at_risk": empyrical.value_at_risk(returns),
            "conditional_value_at_risk": empyrical.conditional_value_at_risk(returns),
            "tail_ratio": empyrical.tail_ratio(returns),
            "beta": beta,
            "compounded_alpha": alpha,
        },
    }


def ours(returns: np.ndarray, market: np.ndarray, calendar: str, periods: int) -> pd.Series:
    found = measured(curve_of(returns), curve_of(market), first_open=100.0, calendar=calendar).value
    compounded = (1 + found["alpha"] / periods) ** periods - 1
    return pd.concat([found, pd.Series({"compounded_alpha": compounded})])


def compare(returns: np.ndarray, market: np.ndarray, calendar: str, periods: int) -> None:
    found = ours(returns, market, calendar, periods)
    for library, figures in theirs(returns, market, periods).items():
        for name, figure in figures.items():
            assert found[name] == pytest.approx(figure, rel=1e-7, abs=1e-10), f"{name} of {library}"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("calendar", "periods"), CALENDARS)
def test_statistics_of_returns_are_those_of_quantstats_and_empyrical(seed: int, calendar: str, periods: int) -> None:
    market = random_returns(seed + 100, 400)
    returns = np.clip(0.6 * market + random_returns(seed, 400) / 2, -0.9, 0.9)
    compare(returns, market, calendar, periods)


@pytest.mark.parametrize("seed", SEEDS)
def test_growth_a_year_is_theirs_where_every_day_trades(seed: int) -> None:
    returns = random_returns(seed, 500)
    found = measured(curve_of(returns)).value
    assert found["cagr"] == pytest.approx(quantstats.cagr(dated(returns), periods=365))
    assert found["cagr"] == pytest.approx(empyrical.cagr(returns, annualization=365))
    assert found["calmar_ratio"] == pytest.approx(quantstats.calmar(dated(returns), periods=365))
    assert found["calmar_ratio"] == pytest.approx(empyrical.calmar_ratio(returns, annualization=365))


@pytest.mark.parametrize("seed", SEEDS)
def test_ulcer_index_is_that_of_quantstats_but_for_its_divisor(seed: int) -> None:
    returns = random_returns(seed, 300)
    theirs_by_n = quantstats.ulcer_index(dated(returns)) * math.sqrt(299 / 300)
    assert measured(curve_of(returns)).value["ulcer_index"] == pytest.approx(theirs_by_n)


def test_the_error_of_the_sharpe_ratio_is_near_that_of_quantstats() -> None:
    """Theirs takes n - 1 and moments corrected for the sample: the same but for the order of 1 / n."""
    returns = random_returns(11, 4000)
    found = measured(curve_of(returns)).loc["period_sharpe"]
    error = (found.high - found.low) / 2 / stats.norm.ppf(0.975)
    theirs_probability = quantstats.probabilistic_sharpe_ratio(dated(returns))
    assert stats.norm.cdf(found.value / error) == pytest.approx(theirs_probability, abs=1e-3)


steps = st.floats(-0.3, 0.3).map(lambda step: round(step, 6))


@given(
    pairs=st.lists(st.tuples(steps, steps), min_size=90, max_size=150, unique_by=(lambda p: p[0], lambda p: p[1])),
    calendar=st.sampled_from(CALENDARS),
)
@settings(max_examples=60)
def test_statistics_of_any_returns_are_those_of_the_libraries(
    pairs: list[tuple[float, float]], calendar: tuple[str, int]
) -> None:
    returns, market = (np.array(side) for side in zip(*pairs, strict=True))
    compare(returns, market, *calendar)


def crossing_run(seed: int) -> tuple[pd.Series, pd.DataFrame]:
    """Run a strategy that goes long and short in backtesting.py."""
    closes = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.02, 400)))
    candles = candles_of(closes, instants(400))
    data = candles.rename(columns=str.title).tz_localize(None)

    class Crossing(backtesting.Strategy):
        def init(self) -> None:
            self.average = self.I(lambda close: pd.Series(close).rolling(10).mean(), self.data.Close)

        def next(self) -> None:
            above = self.data.Close[-1] > self.average[-1]
            if above and not self.position.is_long:
                self.position.close()
                self.buy(size=5)
            elif not above and not self.position.is_short:
                self.position.close()
                self.sell(size=5)

    run = backtesting.Backtest(data, Crossing, cash=10_000, commission=0.001, finalize_trades=True)
    return run.run(), candles


def as_our_trades(trades: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "side": np.where(trades["Size"] > 0, "long", "short"),
            "status": "closed",
            "entry_ts": trades["EntryTime"].dt.tz_localize("UTC"),
            "exit_ts": trades["ExitTime"].dt.tz_localize("UTC"),
            "profit": trades["PnL"],
            "return": trades["ReturnPct"],
            "bars_held": trades["ExitBar"] - trades["EntryBar"],
        }
    )


# backtesting.py reads DatetimeIndex.dayofweek, which pandas 3.1 deprecates.
@pytest.mark.filterwarnings("ignore:DatetimeIndex.dayofweek is deprecated")
@pytest.mark.parametrize("seed", SEEDS)
def test_figures_of_trades_and_drawdowns_are_those_of_backtesting_py(seed: int) -> None:
    run, candles = crossing_run(seed)
    curve = run["_equity_curve"]["Equity"].to_numpy()
    trades = as_our_trades(run["_trades"])
    table = evaluate(
        equity_of(curve, candles.index), trades, fills_of(), candles, cash=10_000, timeframe="1d", calendar="24/7"
    )
    found: Any = table.set_index("metric").value
    gains = trades["return"][trades["return"] > 0].sum()
    losses = -trades["return"][trades["return"] < 0].sum()
    expected = {
        "closed_trades": run["# Trades"],
        "win_rate": run["Win Rate [%]"] / 100,
        "best_trade": run["Best Trade [%]"] / 100,
        "worst_trade": run["Worst Trade [%]"] / 100,
        "average_trade": run["Expectancy [%]"] / 100,
        "sqn": run["SQN"],
        "kelly_criterion": run["Kelly Criterion"],
        "max_drawdown": run["Max. Drawdown [%]"] / 100,
        "average_drawdown": run["Avg. Drawdown [%]"] / 100,
        "max_drawdown_days": run["Max. Drawdown Duration"] / pd.Timedelta("1D"),
        "max_trade_days": run["Max. Trade Duration"] / pd.Timedelta("1D"),
        "cumulative_return": run["Return [%]"] / 100,
        "final_equity": run["Equity Final [$]"],
        "peak_equity": run["Equity Peak [$]"],
    }
    for name, figure in expected.items():
        assert found[name] == pytest.approx(figure), name
    assert run["Profit Factor"] == pytest.approx(gains / losses)
    money = trades["profit"]
    assert found["profit_factor"] == pytest.approx(money[money > 0].sum() / -money[money < 0].sum())
