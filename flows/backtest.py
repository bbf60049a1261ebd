"""The backtest flow: candles, signals, fills, metrics, one after the other, into the lake."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from prefect import flow

from data.candles import fingerprint
from data.markets import Market, read_market
from data.quality import gaps_after
from data.runs import canonical, code_version, library_versions, record_run, run_id
from data.signals import signals_table
from data.timeframe import parse_timeframe
from data.writer import Lake
from flows.detail import Finer, read_finer
from flows.judge import judge_backtest
from flows.parameters import BacktestParameters
from flows.report import flow_run_id, publish_report
from flows.sensitivity import sensitivity
from flows.terms import cost_columns, costs_of, terms_in
from tasks.backtest import Simulation, execute_backtest
from tasks.engine.changes import changes_of
from tasks.engine.rules import Limits
from tasks.evaluate import evaluate_metrics
from tasks.evaluate.verdict import Verdict
from tasks.fetch import fetch_data
from tasks.signal import Strategy, generate_signals
from tasks.signal.registry import code_hash, create
from tasks.trade import initialize


@dataclass(frozen=True)
class Backtest:
    """A finished backtest: its manifest, and the rows that are in the lake under its `run_id`."""

    run_id: str
    manifest: dict[str, Any]
    metrics: pd.DataFrame
    simulation: Simulation
    verdict: Verdict


@flow(name="backtest", flow_run_name="{parameters.strategy} on {parameters.symbol} {parameters.timeframe}")
def backtest(parameters: BacktestParameters = BacktestParameters()) -> Backtest:  # noqa: B008 - it is frozen
    """Backtest a strategy on a series of candles, and record the run in the lake.

    The same parameters on the same candles with the same code are the same run: it is recorded once.
    """
    lake = Lake.open()
    strategy = create(parameters.strategy, parameters.params)
    account = initialize(parameters.cash)
    candles = fetch_data(
        lake,
        parameters.exchange,
        parameters.symbol,
        parameters.timeframe,
        parameters.start,
        parameters.end,
        refresh=parameters.refresh,
    )
    market = read_market(lake, parameters.exchange, parameters.symbol)
    finer = read_finer(lake, parameters, candles)
    manifest = describe(parameters, strategy, market, candles, finer)
    signals = generate_signals(candles, strategy)
    simulation = execute_backtest(
        candles,
        signals,
        symbol=parameters.symbol,
        cash=account.cash,
        timeframe=parse_timeframe(parameters.timeframe),
        gap_after=gaps_after(lake, parameters.exchange, parameters.symbol, parameters.timeframe, candles.index),
        detail=finer.detail,
        **terms_in(manifest),
    )
    metrics = evaluate_metrics(
        simulation.equity,
        simulation.trades,
        simulation.fills,
        candles,
        cash=account.cash,
        timeframe=parameters.timeframe,
        calendar=market.calendar,
    )
    run, target = run_id(manifest), changes_of(signals["signal"].to_numpy())
    varied = sensitivity(candles, target, strategy, manifest, finer.detail)
    record_run(
        lake,
        run_row(run, manifest, candles.attrs["version"]),
        {
            "signals": signals_table(signals, parameters.symbol),
            "orders": simulation.orders,
            "fills": simulation.fills,
            "equity": simulation.equity,
            "trades": simulation.trades,
            "metrics": metrics,
            "sensitivity": varied,
        },
    )
    verdict = judge_backtest(lake, run, manifest, simulation.equity, metrics, varied)
    result = Backtest(run, manifest, metrics, simulation, verdict)
    publish_report(result.run_id, manifest, metrics, simulation.trades)
    return result


def describe(
    parameters: BacktestParameters,
    strategy: Strategy,
    market: Market,
    candles: pd.DataFrame,
    finer: Finer = Finer(None, None),  # noqa: B008 - it is frozen
) -> dict[str, Any]:
    """Return the manifest: all that decides the result, and nothing else."""
    return {
        "kind": "backtest",
        "exchange": parameters.exchange,
        "symbol": parameters.symbol,
        "timeframe": parameters.timeframe,
        "start": candles.index[0].isoformat(),
        "end": candles.index[-1].isoformat(),
        "candles": len(candles),
        "data_fingerprint": fingerprint(candles),
        "strategy": strategy.name,
        "strategy_code": code_hash(strategy),
        "parameters": strategy.model_dump(mode="json"),
        "cash": parameters.cash,
        "costs": costs_of(parameters, market),
        "sizing": {
            "fraction": parameters.fraction,
            "amount": parameters.amount,
            "amount_step": market.amount_step,
            "min_amount": market.min_amount,
            "min_cost": market.min_cost,
            "max_volume": parameters.max_volume,
        },
        "stops": {
            "stop_loss": parameters.stop_loss,
            "take_profit": parameters.take_profit,
            "trailing_stop": parameters.trailing_stop,
        },
        "limits": {name: getattr(parameters, name) for name in Limits._fields},
        "entries": {
            "order_type": parameters.order_type,
            "limit_offset": parameters.limit_offset,
            "limit_bars": parameters.limit_bars,
            "on_timeout": parameters.on_timeout,
            "price_step": market.price_step if parameters.order_type == "limit" else None,
        },
        "detail": finer.told,
        "calendar": market.calendar,
        "code_version": code_version(),
        "libraries": library_versions(),
        "seed": None,
    }


def run_row(run: str, manifest: dict[str, Any], candles_version: int) -> dict[str, Any]:
    """Return the row of the table runs."""
    copied = ("kind", "exchange", "symbol", "timeframe", "strategy", "candles", "cash", "data_fingerprint")
    return {
        "run_id": run,
        **{name: manifest[name] for name in copied},
        "parameters": canonical(manifest["parameters"]),
        "start_ts": pd.Timestamp(manifest["start"]),
        "end_ts": pd.Timestamp(manifest["end"]),
        **cost_columns(manifest),
        "candles_version": candles_version,
        "code_version": manifest["code_version"],
        "seed": manifest["seed"],
        "manifest": canonical(manifest),
        "flow_run_id": flow_run_id(),
        "created_at": datetime.now(UTC),
    }
