"""The backtest of several markets on one account: candles, signals, fills, metrics, into the lake."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import reduce
from typing import Any

import pandas as pd
import pyarrow as pa
from prefect import flow

from data.candles import fingerprint
from data.markets import Market, read_market
from data.quality import gaps_after
from data.runs import PORTFOLIOS, canonical, code_version, library_versions, record_run, run_id
from data.signals import signals_table
from data.writer import Lake
from flows.backtest import Backtest, run_row
from flows.judge import judge_backtest
from flows.parameters import PortfolioParameters
from flows.report import publish_report
from flows.sensitivity import portfolio_sensitivity
from flows.terms import costs_of, portfolio_terms_in
from tasks.backtest import execute_portfolio_backtest
from tasks.engine.rules import Limits
from tasks.evaluate import evaluate_metrics
from tasks.evaluate.basket import basket
from tasks.fetch import fetch_data
from tasks.signal import Strategy, generate_portfolio_signals
from tasks.signal.portfolio import shares_of
from tasks.signal.registry import code_hash, create
from tasks.trade import initialize


@flow(name="portfolio", flow_run_name="{parameters.strategy} on {parameters.named} {parameters.timeframe}")
def portfolio(parameters: PortfolioParameters) -> Backtest:
    """Backtest a strategy on several markets that share one account, and record the run in the lake.

    A strategy of one market trades each with its share of the equity; a portfolio strategy gives the weights itself.
    The same parameters on the same candles with the same code are the same run: it is recorded once.
    """
    lake = Lake.open()
    strategy = create(parameters.strategy, parameters.params)
    shares = shares_of(parameters.symbols, parameters.weights)
    account = initialize(parameters.cash)
    series = {symbol: (parameters.exchange, symbol, parameters.timeframe) for symbol in parameters.symbols}
    candles = {
        symbol: fetch_data(lake, *of, parameters.start, parameters.end, refresh=parameters.refresh)
        for symbol, of in series.items()
    }
    markets = {symbol: read_market(lake, parameters.exchange, symbol) for symbol in series}
    manifest = describe(parameters, strategy, shares, markets, candles)
    signals = generate_portfolio_signals(candles, strategy, shares)
    simulation = execute_portfolio_backtest(
        candles,
        signals,
        gap_after={name: gaps_after(lake, *of, pd.DatetimeIndex(candles[name].index)) for name, of in series.items()},
        **portfolio_terms_in(manifest),
    )
    metrics = evaluate_metrics(
        simulation.equity,
        simulation.trades,
        simulation.fills,
        basket(candles),
        cash=account.cash,
        timeframe=parameters.timeframe,
        calendar=manifest["calendar"],
    )
    run, varied = run_id(manifest), portfolio_sensitivity(candles, signals, strategy, manifest)
    record_run(
        lake,
        run_row(run, manifest, max(frame.attrs["version"] for frame in candles.values())),
        {
            "signals": pa.concat_tables([signals_table(frame, symbol) for symbol, frame in signals.items()]),
            "orders": simulation.orders,
            "fills": simulation.fills,
            "equity": simulation.equity,
            "positions": simulation.positions,
            "trades": simulation.trades,
            "metrics": metrics,
            "sensitivity": varied,
        },
    )
    verdict = judge_backtest(lake, run, manifest, simulation.equity, metrics, varied)
    publish_report(run, manifest, metrics, simulation.trades)
    return Backtest(run, manifest, metrics, simulation, verdict)


def describe(
    parameters: PortfolioParameters,
    strategy: Strategy,
    shares: Mapping[str, float],
    markets: Mapping[str, Market],
    candles: Mapping[str, pd.DataFrame],
) -> dict[str, Any]:
    """Return the manifest: all that decides the result, and nothing else. The order of the symbols does."""
    costs = {symbol: costs_of(parameters, market) for symbol, market in markets.items()}
    each = {
        symbol: {
            "share": shares[symbol],
            "terms": {
                "fee": costs[symbol]["fee"],
                "amount_step": market.amount_step,
                "min_amount": market.min_amount,
                "min_cost": market.min_cost,
            },
            "start": candles[symbol].index[0].isoformat(),
            "end": candles[symbol].index[-1].isoformat(),
            "candles": len(candles[symbol]),
            "data_fingerprint": fingerprint(candles[symbol]),
        }
        for symbol, market in markets.items()
    }
    prints = [[symbol, of["data_fingerprint"]] for symbol, of in each.items()]
    calendars = {market.calendar for market in markets.values()}
    instants = reduce(pd.Index.union, [frame.index for frame in candles.values()])
    return {
        "kind": "backtest",
        "exchange": parameters.exchange,
        "symbol": parameters.named,
        "symbols": list(parameters.symbols),
        "timeframe": parameters.timeframe,
        "start": min(of["start"] for of in each.values()),
        "end": max(of["end"] for of in each.values()),
        "candles": len(instants),
        "data_fingerprint": hashlib.sha256(canonical({"candles": prints}).encode()).hexdigest(),
        "markets": each,
        "strategy": strategy.name,
        "strategy_code": code_hash(strategy),
        "parameters": strategy.model_dump(mode="json"),
        "cash": parameters.cash,
        "costs": max(costs.values(), key=lambda of: of["fee"]),
        "sizing": {"fraction": parameters.fraction},
        "rebalancing": {name: getattr(parameters, name) for name in ("rebalance_every", "tolerance", "gross")},
        "stops": {
            "stop_loss": parameters.stop_loss,
            "take_profit": parameters.take_profit,
            "trailing_stop": parameters.trailing_stop,
        },
        "limits": {name: getattr(parameters, name) for name in Limits._fields},
        # Where one market never closes, the whole has a value every day.
        "calendar": calendars.pop() if len(calendars) == 1 else "24/7",
        "code_version": code_version(PORTFOLIOS),
        "libraries": library_versions(),
        "seed": None,
    }
