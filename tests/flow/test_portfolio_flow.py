"""The backtest of several markets, from the command line into the lake, and on the dashboard."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from data.candles import read_candles
from data.runs import canonical, read_run, run_id
from data.views import connect
from data.writer import Lake
from flows.backtest import Backtest
from flows.judge import judge_again
from flows.parameters import BacktestParameters, PortfolioParameters
from flows.portfolio import portfolio
from tasks.evaluate.basket import basket
from tasks.fetch import collect_series
from tests.servers.command_line import Jarvis

SYMBOLS = ("A/USD", "B/USD", "C/USD")
TWO = ("--symbol", "A/USD", "--symbol", "B/USD")


@pytest.fixture
def filled(lake: Lake, tmp_path: Path) -> Lake:
    """Three markets of 400 days; the third begins 100 days later."""
    for number, symbol in enumerate(SYMBOLS):
        rng = np.random.default_rng(number)
        close = 100 * np.exp(np.cumsum(rng.normal(0.0005, 0.02, 400)))
        opened = np.concatenate(([100.0], close[:-1]))
        days = pd.date_range("2022-01-01", periods=400, freq="D", tz="UTC")
        rows = pd.DataFrame(
            {
                "timestamp": days.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "open": opened,
                "high": np.maximum(opened, close) * 1.01,
                "low": np.minimum(opened, close) * 0.99,
                "close": close,
                "volume": 1.0,
            }
        )
        file = tmp_path / f"{symbol[0]}.csv"
        rows.iloc[100 * (number == 2) :].to_csv(file, index=False)
        collect_series(lake, exchange="mine", symbol=symbol, timeframe="1d", file=file)
    return lake


def candles_of(lake: Lake, symbol: str) -> pd.DataFrame:
    return read_candles(lake, "mine", symbol, "1d")


def run(**parameters: object) -> Backtest:
    given: dict[str, object] = {"exchange": "mine", "timeframe": "1d", "symbols": SYMBOLS, "fee": 0.001}
    result: Backtest = portfolio.fn(PortfolioParameters(**(given | parameters)))  # type: ignore[arg-type]
    return result


def test_a_portfolio_is_recorded_whole_and_its_tables_agree(filled: Lake) -> None:
    result = run(params={"fast": 5, "slow": 20}, rebalance_every=10, stop_loss=0.05)
    assert result.run_id == run_id(result.manifest)
    recorded = read_run(filled, result.run_id, "runs").iloc[0]
    assert recorded["manifest"] == canonical(result.manifest)
    assert recorded["symbol"] == "A/USD, B/USD, C/USD"
    for table in ("signals", "orders", "fills", "positions", "trades"):
        assert set(read_run(filled, result.run_id, table)["symbol"]) == set(SYMBOLS)
    assert set(read_run(filled, result.run_id, "fills")["reason"]) >= {"signal", "rebalance", "stop_loss"}
    connection = connect(filled)
    off = connection.execute(
        """SELECT max(abs(e.equity - e.cash - coalesce(p.value, 0))), max(abs(e.position - coalesce(p.value, 0)))
        FROM equity e
        LEFT JOIN (SELECT run_id, ts, sum(value) AS value FROM positions GROUP BY ALL) p USING (run_id, ts)"""
    ).fetchall()[0]
    assert max(off) < 1e-6
    marked = connection.execute(
        "SELECT count(*), sum(p.price = c.close) FROM positions p JOIN candles c USING (symbol, ts)"
    ).fetchall()[0]
    assert marked[0] == marked[1] > 0
    # Every trade leads back to the signal that decided it, which is the strategy's times the symbol's share.
    decided = connection.execute(
        """SELECT s.signal, s.indicators['fast'] > s.indicators['slow'] FROM trades t
        JOIN orders o ON o.run_id = t.run_id AND o.order_id = t.entry_order_id AND o.event = 'filled'
        JOIN signals s ON s.run_id = t.run_id AND s.symbol = t.symbol AND s.ts = o.decision_ts"""
    ).fetchall()
    assert len(decided) == len(result.simulation.trades)
    assert all(signal == 1 / 3 and crossed for signal, crossed in decided)
    assert run(params={"fast": 5, "slow": 20}, rebalance_every=10, stop_loss=0.05).run_id == result.run_id


@pytest.mark.slow
def test_the_manifest_tells_portfolios_apart(filled: Lake) -> None:
    params = {"fast": 5, "slow": 20}
    runs = [
        run(params=params),
        run(params=params, symbols=("B/USD", "A/USD", "C/USD")),
        run(params=params, weights={"A/USD": 0.5, "B/USD": 0.2, "C/USD": 0.3}),
        run(params=params, rebalance_every=5),
        run(params=params, rebalance_every=5, tolerance=0.05),
        run(strategy="cross_sectional_momentum", params={"lookback": 30, "top": 1}),
    ]
    assert len({result.run_id for result in runs}) == len(runs)
    shares = {symbol: of["share"] for symbol, of in runs[2].manifest["markets"].items()}
    assert shares == {"A/USD": 0.5, "B/USD": 0.2, "C/USD": 0.3}
    weights = runs[-1].simulation.fills.groupby("ts")["symbol"].count()
    assert weights.max() <= 2  # one is left, another entered


FIGURES = ("cumulative_return", "sharpe_ratio", "period_sharpe", "max_drawdown", "trades")


def varied(lake: Lake, result: Backtest) -> pd.DataFrame:
    return read_run(lake, result.run_id, "sensitivity").set_index(["varied", "step"])


def test_the_sensitivity_of_a_portfolio_is_that_of_portfolios_with_other_terms(filled: Lake) -> None:
    terms: dict[str, object] = {"fee": 0.002, "slippage": 0.001, "rebalance_every": 20, "tolerance": 0.02}
    first = run(params={"fast": 5, "slow": 20}, **terms)
    rows = varied(filled, first)
    assert list(rows.index) == [("costs", n) for n in range(4)] + [(p, s) for p in ("fast", "slow") for s in (-1, 1)]
    others = {
        ("costs", 0): run(params={"fast": 5, "slow": 20}, **terms | {"fee": 0.0, "slippage": 0.0}),
        ("costs", 1): first,
        ("costs", 2): run(params={"fast": 5, "slow": 20}, **terms | {"fee": 0.004, "slippage": 0.002}),
        ("costs", 3): run(params={"fast": 5, "slow": 20}, **terms | {"fee": 0.006, "slippage": 0.003}),
        ("fast", -1): run(params={"fast": 4, "slow": 20}, **terms),
        ("slow", 1): run(params={"fast": 5, "slow": 22}, **terms),
    }
    for place, other in others.items():
        metrics = other.metrics.set_index("metric")["value"]
        assert list(rows.loc[place, list(FIGURES)]) == [metrics[name] for name in FIGURES], place
    returns = [rows.loc[("costs", n), "cumulative_return"] for n in range(4)]
    assert returns == sorted(returns, reverse=True)
    assert len(set(returns)) == 4


def test_the_costs_of_a_portfolio_are_told_and_varied(filled: Lake) -> None:
    params = {"fast": 5, "slow": 20}
    costs: dict[str, object] = {"slippage": "0.0005+sqrt:0.7", "borrow": 0.1, "funding": 0.0001, "cash": 1000.0}
    first = run(params=params, fee=None, fee_tiers=("0:0.001:0.002", "700:0:0.001"), max_bars=15, **costs)
    assert first.manifest["costs"] == {
        "fee": 0.002,
        "maker_fee": None,
        "fee_tiers": [[0.0, 0.001, 0.002], [700.0, 0.0, 0.001]],
        "slippage": "0.0005+sqrt:0.7",
        "borrow": 0.1,
        "funding": 0.0001,
        "funding_hours": 8.0,
    }
    fills = first.simulation.fills
    assert set((fills.fee / (fills.price * fills.amount)).round(6)) == {0.002, 0.001}
    assert "time" in set(fills.reason)
    assert (first.simulation.trades.carry > 0).all()
    rows = varied(filled, first)
    doubled: dict[str, object] = {"slippage": "0.001+sqrt:1.4", "borrow": 0.2, "funding": 0.0002, "cash": 1000.0}
    twice = run(params=params, fee=None, fee_tiers=("0:0.002:0.004", "700:0:0.002"), max_bars=15, **doubled)
    for multiple, other in ((1, first), (2, twice)):
        metrics = other.metrics.set_index("metric")["value"]
        assert list(rows.loc[("costs", multiple), list(FIGURES)]) == [metrics[name] for name in FIGURES]


def test_a_portfolio_strategy_is_varied_and_what_it_refuses_is_said(filled: Lake) -> None:
    rows = varied(filled, run(strategy="cross_sectional_momentum", params={"lookback": 30, "top": 1}))
    other = run(strategy="cross_sectional_momentum", params={"lookback": 33, "top": 1})
    metrics = other.metrics.set_index("metric")["value"]
    assert list(rows.loc[("lookback", 1), list(FIGURES)]) == [metrics[name] for name in FIGURES]
    assert "greater than or equal to 1" in rows.loc[("top", -1), "note"]
    dear = varied(filled, run(params={"fast": 5, "slow": 20}, fee=0.4))
    assert "fee" in dear.loc[("costs", 3), "note"]
    assert pd.isna(dear.loc[("costs", 2), "note"])


def test_the_parameters_of_a_long_portfolio_are_not_varied(filled: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.sensitivity.MOST", 4 * 1_100 - 1)  # 400 + 400 + 300 candles, four neighbours
    rows = varied(filled, run(params={"fast": 5, "slow": 20}))
    assert rows.loc[("fast", -1), "note"] == "not varied: 1,100 candles are too many"
    assert rows.loc["costs", "cumulative_return"].notna().all()


def test_a_portfolio_is_judged_as_a_run_of_one_market_is(filled: Lake) -> None:
    result = run(params={"fast": 5, "slow": 20})
    metrics = result.metrics.set_index("metric")
    bounded = metrics.loc[["sharpe_ratio", "cumulative_return", "max_drawdown", "win_rate", "alpha"]]
    assert (bounded["low"] <= bounded["value"]).all()
    assert (bounded["value"] <= bounded["high"]).all()
    recorded = read_run(filled, result.run_id, "verdicts").iloc[0]
    assert recorded["reason"] == result.verdict.reason
    assert recorded["deflated_sharpe"] == pytest.approx(metrics.loc["probabilistic_sharpe", "value"], rel=1e-12)
    assert judge_again(filled, result.run_id) == result.verdict


def test_a_portfolio_that_costs_eat_up_is_not_proven_for_that_reason(filled: Lake, tmp_path: Path) -> None:
    index = pd.date_range("2022-01-01", periods=400, freq="D", tz="UTC")
    for number, symbol in enumerate(("D/USD", "E/USD")):  # up every second day, and known to be
        steps = np.where(np.arange(400) % 2 == number, 0.012, -0.011) + np.random.default_rng(9).normal(0, 5e-4, 400)
        close = 100 * np.exp(np.cumsum(steps))
        opened = np.concatenate(([100.0], close[:-1]))
        named = {"timestamp": index.strftime("%Y-%m-%dT%H:%M:%SZ"), "open": opened, "close": close, "volume": 1.0}
        rows = pd.DataFrame(named | {"high": np.maximum(opened, close), "low": np.minimum(opened, close)})
        rows.to_csv(tmp_path / f"{number}.csv", index=False)
        collect_series(filled, exchange="mine", symbol=symbol, timeframe="1d", file=tmp_path / f"{number}.csv")
    file = tmp_path / "turn.py"
    file.write_text(TURN, encoding="utf-8")
    result = run(strategy=str(file), symbols=("D/USD", "E/USD"), fee=0.004, slippage=0.0)
    assert result.metrics.set_index("metric").loc["cumulative_return", "value"] > 0
    twice = varied(filled, result).loc[("costs", 2), "cumulative_return"]
    assert twice < 0
    assert result.verdict.supported is False
    assert result.verdict.reason == f"at twice the costs it returned {twice:.2%}"


TURN = """
from tasks.signal import DataFrame, Strategy


class Turn(Strategy):
    \"\"\"Hold after a day of falling prices.\"\"\"

    @property
    def warmup(self):
        return 1

    def generate(self, candles):
        return DataFrame({"target": (candles["close"] < candles["open"]).astype(float)})
"""


def test_several_symbols_on_the_command_line_are_one_run(filled: Lake, jarvis: Jarvis) -> None:
    series = ("--exchange", "mine", "--timeframe", "1d", "--param", "fast=5", "--param", "slow=20")
    both = ("--symbol", "A/USD", "--symbol", "B/USD", "--weight", "A/USD=0.6", "--weight", "B/USD=0.4")
    done = jarvis("backtest", *series, *both)
    assert done.code == 0, done.err
    assert "A/USD, B/USD 1d, 400 candles" in done.out
    asked = json.loads(jarvis("backtest", *series, *both, "--json").out)
    assert asked["run_id"] in done.out
    assert {row["symbol"] for row in asked["trades"]} == {"A/USD", "B/USD"}
    alone = json.loads(jarvis("backtest", *series, "--symbol", "A/USD", "--json").out)
    assert "symbols" not in alone["manifest"]
    assert filled.version("positions") >= 0


def test_the_command_line_has_the_costs_of_a_portfolio(filled: Lake, jarvis: Jarvis) -> None:
    series = ("--exchange", "mine", "--timeframe", "1d", "--param", "fast=5", "--param", "slow=20", "--cash", "1000")
    costs = ("--slippage", "volume:0.1", "--fee-tier", "0:0.1:0.01", "--borrow", "0.1", "--funding", "0.001")
    done = jarvis("backtest", *series, *TWO, *costs, "--max-bars", "10", "--json")
    assert done.code == 0, done.err
    assert done.json["manifest"]["costs"]["slippage"] == "volume:0.1"
    assert done.json["manifest"]["limits"]["max_bars"] == 10
    assert filled.version("positions") >= 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--symbol", "A/USD", "--symbol", "A/USD"], "symbols: name each of them once"),
        (["--symbol", "A/USD", "--symbol", "B/USD", "--weight", "A/USD=0.5"], "weight of B/USD: give one for each"),
        (["--symbol", "A/USD", "--weight", "D/USD=0.5"], "weight of D/USD: it is not among the symbols A/USD"),
        (["--symbol", "A/USD", "--symbol", "B/USD", "--weight", "A/USD"], "--weight A/USD: write name=value"),
        (
            ["--symbol", "A/USD", "--symbol", "B/USD", "--weight", "A/USD=0.9", "--weight", "B/USD=0.9"],
            "add up to 1.8 without their signs, and gross allows 1",
        ),
        (["--symbol", "A/USD", "--symbol", "B/USD", "--amount", "3"], "amount is of no use to a portfolio"),
        (["--symbol", "A/USD", "--symbol", "B/USD", "--tolerance", "0.1"], "tolerance 0.1 needs rebalance_every"),
        (["--symbol", "A/USD", "--strategy", "cross_sectional_momentum"], "backtest it on several symbols"),
        ([*TWO, "--weight", "A/USD=nan", "--weight", "B/USD=0.5"], "weights.A/USD: Input should be a finite number"),
        ([*TWO, "--weight", "A/USD=inf", "--weight", "B/USD=0.5"], "weights.A/USD: Input should be"),
        ([*TWO, "--weight", "A/USD=-2", "--weight", "B/USD=0.5"], "weights.A/USD: Input should be greater than"),
        ([*TWO, "--weight", "A/USD=most", "--weight", "B/USD=0.5"], "weights.A/USD: Input should be a valid number"),
        ([*TWO, "--gross", "0"], "gross: Input should be greater than 0"),
        ([*TWO, "--gross", "nan"], "gross: Input should be a finite number"),
        ([*TWO, "--rebalance-every", "0"], "rebalance_every: Input should be greater than or equal to 1"),
        ([*TWO, "--rebalance-every", "1", "--tolerance", "1"], "tolerance: Input should be less than 1"),
        ([*TWO, "--take-profit", "inf"], "take_profit: Input should be a finite number"),
        ([*TWO, "--max-order", "inf"], "max_order: Input should be a finite number"),
        ([*TWO, "--fee", "nan"], "fee: Input should be"),
        ([*TWO, "--start", "2022-03-01", "--end", "2022-02-01"], "start 2022-03-01 00:00 is not before end 2022-02-01"),
        ([*TWO, "--symbol", ""], "symbols.2: String should have at least 1 character"),
        ([*TWO, "--symbol", "C/USD", "--end", "2022-02-01"], "mine C/USD 1d"),
        (
            [*TWO, "--symbol", "C/USD", "--end", "2022-04-20", "--strategy", "sma_crossover"],
            "C/USD: sma_crossover needs",
        ),
    ],
)
def test_what_a_portfolio_cannot_be_is_said_in_a_line(
    filled: Lake, jarvis: Jarvis, arguments: list[str], words: str
) -> None:
    strategy = [] if "--strategy" in arguments else ["--strategy", "buy_and_hold"]
    done = jarvis("backtest", "--exchange", "mine", "--timeframe", "1d", *strategy, *arguments)
    assert done.code == 2
    assert words in done.err
    assert done.err.count("\n") == 1
    assert filled.version("runs") == -1


def test_one_market_without_what_only_a_portfolio_has_is_a_backtest() -> None:
    assert PortfolioParameters(symbols=("X",), cash=5.0).alone == BacktestParameters(symbol="X", cash=5.0)
    assert PortfolioParameters(symbols=("X", "Y")).alone is None
    assert PortfolioParameters(symbols=("X",), gross=0.5).alone is None
    assert PortfolioParameters(symbols=("X",), rebalance_every=2).alone is None
    assert PortfolioParameters(symbols=tuple("ABCDE")).named == "A, B, C and 2 more"
    with pytest.raises(ValidationError):
        PortfolioParameters(symbols=())


def test_the_dashboard_answers_for_each_market_of_a_run_and_for_all_of_them(filled: Lake) -> None:
    from dashboards import position_queries, queries
    from data.errors import LakeError

    result = run(params={"fast": 5, "slow": 20})
    connection = connect(filled)
    shown = queries.run(connection, result.run_id)
    assert shown is not None
    assert shown.symbols == SYMBOLS
    assert [each.run_id for each in queries.runs(connection, "backtest")] == [result.run_id]
    for symbol in SYMBOLS:
        market = shown.at(symbol)
        made = result.simulation.trades.query("symbol == @symbol")
        assert queries.markers(connection, market)["events"].sum() == len(made) + made["exit_ts"].notna().sum()
        assert len(queries.candles(connection, market)) == 300 + 100 * (symbol != "C/USD")
        assert len(queries.indicators(connection, market)) == 300 + 100 * (symbol != "C/USD")
    assert shown.at("<b>").symbol == "A/USD"
    with pytest.raises(LakeError, match="no longer has the candles of A/USD, B/USD, C/USD"):
        queries.candles(connection, shown)

    equity = queries.equity(connection, shown)
    held = basket({symbol: candles_of(filled, symbol) for symbol in SYMBOLS})["close"]
    assert list(equity["price"]) == pytest.approx(list(held), rel=1e-12)
    assert queries.first_open(connection, shown) == 1.0
    merged = queries.equity(connection, shown, shown.whole._replace(bucket=7 * 86_400))
    assert set(merged["ts"]) <= set(equity["ts"])
    assert list(merged["price"]) == pytest.approx(list(equity.set_index("ts")["price"][merged["ts"]]), rel=1e-12)

    weights = position_queries.weights(connection, shown)
    assert list(weights.names.values()) == list(SYMBOLS)
    account = result.simulation.equity
    in_market = account["position"] * account["price"] / account["equity"]
    assert list(weights.rows[[*weights.names]].sum(axis="columns")) == pytest.approx(list(in_market), abs=1e-12)


def test_of_many_markets_the_largest_have_a_weight_of_their_own(filled: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    from dashboards import position_queries, queries

    result = run(params={"fast": 5, "slow": 20}, weights={"A/USD": 0.1, "B/USD": 0.2, "C/USD": 0.7})
    connection = connect(filled)
    shown = queries.run(connection, result.run_id)
    assert shown is not None
    whole = position_queries.weights(connection, shown).rows.set_index("ts")
    monkeypatch.setattr(position_queries, "MOST_LINES", 2)
    few = position_queries.weights(connection, shown)
    assert list(few.names.values()) == [SYMBOLS[int(whole.abs().mean().argmax())], "2 others"]
    rows = few.rows.set_index("ts")
    assert list(rows.sum(axis="columns")) == pytest.approx(list(whole.sum(axis="columns")), abs=1e-12)


def test_each_weighting_counts_as_a_trial_and_the_order_of_the_symbols_starts_no_other_count(filled: Lake) -> None:
    def trials(**parameters: object) -> int:
        deflated = run(**parameters).verdict.deflated
        assert deflated is not None
        return deflated.trials

    assert trials() == 1
    assert trials(weights={"A/USD": 0.5, "B/USD": 0.3, "C/USD": 0.2}) == 2
    assert trials(rebalance_every=10) == 3
    assert trials(symbols=SYMBOLS[::-1], rebalance_every=20) == 4
    assert trials(symbols=SYMBOLS[:2]) == 1
